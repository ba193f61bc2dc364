"""Recipes: all settings of a pretraining run, from a TOML file and the command line.

They are checked before anything loads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewbench.errors import BenchError
from fewbench.io import toml

OBJECTIVES = ("mlm", "distil", "states")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
EMBEDDINGS = ("random", "pmi")
ATTENTION = ("random", "neighbours")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a pretraining run. Counts are optimizer updates unless they say otherwise.

    Args:
        objective: `mlm` (masked words); `distil` (DistilBERT's three losses; needs a teacher of the
            same vocabulary); `states` (a teacher's hidden states, of any width and vocabulary, and
            masked words).
        masking: a strategy and its settings, `informask:candidates=30`.
        context: the share of every masked place's answer that goes to the words around its row, in
            the same document (`fewbench.pretrain.context`); the masked word has the rest.
        tokens: how many tokens to train on in all; with `batch` and `length` it gives the number of
            updates.
        batch: rows per update; each corpus gives the same share.
        accumulate: forward passes an update, each of batch / accumulate rows.
        length: tokens a row.
        lr: the peak learning rate; it rises linearly over the share `warmup` of all updates and
            falls linearly to 0.
        optimizer_beta2, weight_decay, clip: AdamW's, and the largest norm of the gradient.
        precision: what matrix products are computed in; `auto` is bfloat16 on CUDA and on
            processors that multiply it themselves, else float32.
        evaluate_every, checkpoint_every: updates between measurements and between checkpoints.
        vocabulary, alphabet, words: of a tokenizer learned from the corpora: its tokens, the
            different characters among them, and words that are single tokens in it.
        layers, width, heads, embeddings, attention: of a model from scratch; `embeddings` `pmi`
            starts the word embeddings from a factorised PMI matrix of the corpora, `attention`
            `neighbours` lets the first heads attend to the words beside
            (`fewbench.pretrain.model`).
        keep: numbers (from 0) of the layers of `start` that are kept; all if empty. A number right
            after itself is a new layer, which adds nothing at the start.
        temperature, soft, hard, hidden: the distillation temperature and the weights of its three
            losses (DistilBERT: 2; 5, 2, 1).
        hard, hidden, pooled: of `states`, the weights of the masked words and of the distances to
            the teacher's states of words and of whole rows.
        seed: of initial weights, order and masks.
    """

    objective: str = "mlm"
    masking: str = "random"
    context: float = 0.0
    tokens: int = 10_000_000
    batch: int = 32
    accumulate: int = 1
    length: int = 128
    lr: float = 1e-3
    warmup: float = 0.06
    optimizer_beta2: float = 0.98
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: str = "auto"
    evaluate_every: int = 250
    checkpoint_every: int = 250
    vocabulary: int = 8192
    alphabet: int = 300
    words: tuple[str, ...] = ()
    layers: int = 3
    width: int = 256
    heads: int = 4
    embeddings: str = "random"
    attention: str = "random"
    keep: tuple[int, ...] = ()
    temperature: float = 2.0
    soft: float = 5.0
    hard: float = 2.0
    hidden: float = 1.0
    pooled: float = 0.0
    seed: int = 0

    @property
    def updates(self) -> int:
        """The number of optimizer updates."""
        return max(1, self.tokens // (self.batch * self.length))


def read_recipe(file: Path | None, chosen: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a file, or the defaults, updated with `chosen` of the command line.

    Raises:
        BenchError: an unknown key, a value of another type, or one out of bounds.
    """
    fields = {field.name: field for field in dataclasses.fields(Recipe)}
    values: dict[str, Any] = {}
    if file is not None:
        if not file.is_file():
            raise BenchError(f"no recipe at {file}", fix="--recipe FILE.toml")
        table = toml.TomlTable(file, "recipe", toml.load(file))
        for name, field in fields.items():
            if table.has(name):
                values[name] = _taken(table, name, field.default)
            else:
                table.take(name, object, default=None)
        table.finish()
    values |= {name: value for name, value in chosen.items() if value is not None}
    recipe = Recipe(**values)
    _check(recipe, str(file) if file else None)
    return recipe


def _taken(table: toml.TomlTable, name: str, default: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(table.take(name, list, of=int if name == "keep" else str))
    if isinstance(default, float):
        return float(table.take(name, (int, float)))
    return table.take(name, type(default))


def _check(recipe: Recipe, where: str | None) -> None:
    counts = ("tokens", "batch", "accumulate", "evaluate_every", "checkpoint_every")
    positive = (*counts, "lr", "clip", "layers", "width", "heads", "temperature")
    shares = ("context", "warmup", "optimizer_beta2")
    weights = ("weight_decay", "soft", "hard", "hidden", "pooled")
    rules: list[tuple[str, bool, Any]] = [
        ("objective", recipe.objective in OBJECTIVES, OBJECTIVES),
        ("precision", recipe.precision in PRECISIONS, PRECISIONS),
        ("embeddings", recipe.embeddings in EMBEDDINGS, EMBEDDINGS),
        ("attention", recipe.attention in ATTENTION, ATTENTION),
        *((name, getattr(recipe, name) > 0, "a number above 0") for name in positive),
        *((name, 0 <= getattr(recipe, name) < 1, "0 up to, and not, 1") for name in shares),
        *((name, getattr(recipe, name) >= 0, "0 or more") for name in weights),
        ("length", recipe.length >= 8, "8 or more"),
        ("vocabulary", recipe.vocabulary >= 1000, "1000 or more"),
        (
            "alphabet",
            0 < recipe.alphabet <= recipe.vocabulary,
            f"1 to the {recipe.vocabulary} tokens of the vocabulary",
        ),
        (
            "accumulate",
            recipe.batch % max(1, recipe.accumulate) == 0,
            f"a divisor of batch, which is {recipe.batch}",
        ),
        (
            "heads",
            recipe.width % max(1, recipe.heads) == 0,
            f"a divisor of width, which is {recipe.width}",
        ),
    ]
    for name, kept, allowed in rules:
        if not kept:
            value = getattr(recipe, name)
            given = value if isinstance(value, str) else None
            raise BenchError(
                f"the recipe's {name} is {value!r}", where=where, allowed=allowed, given=given
            )
