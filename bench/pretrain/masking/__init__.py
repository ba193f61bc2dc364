"""Masking strategies: which positions of a text a masked language model must predict.

Every file of this folder is a strategy.

`whole_word.py` is the strategy `whole-word`; `informask:candidates=30,window=11` binds settings to
the signature of its `strategy`. Listing and binding read the source and import no strategy. A
strategy looks at the corpus once, while it is built, and gives a function from a batch of token ids
to the chosen places; what then stands at those places (BERT's 80% mask, 10% random, 10% kept) is
decided elsewhere. Axes: N sequences of the corpus, n of a batch, L places, V token ids.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from fewbench.errors import BenchError
from fewbench.registry.methods import MethodInfo
from fewbench.registry.settings import Chosen, bind
from fewbench.types import Settings

Ids: TypeAlias = NDArray[np.integer[Any]]
Places: TypeAlias = NDArray[np.bool_]
Choose: TypeAlias = Callable[[Ids, np.random.Generator], Places]
"""Which of the places [n, L] are to be predicted; the generator is the only source of chance."""


class Vocabulary(NamedTuple):
    """The properties of token ids that masking depends on.

    Ids in `special` [V] are never chosen; those in `continues` [V] continue the word before them.

    `[PAD]`, `[CLS]`, `[SEP]` and `[MASK]` are special; the `##` pieces of WordPiece go on with the
    word before them.
    """

    special: Places
    continues: Places

    @property
    def size(self) -> int:
        """V, the number of token ids."""
        return len(self.special)


class WordRuns(NamedTuple):
    """The words of a batch: runs of pieces, split at special tokens and at word-initial pieces.

    `number` [n, L] is the word of each place, counted from 0 in each sequence, -1 at special
    tokens. By word, in the first places of a row and 0 after its last word: `length` [n, L] in
    tokens, and `segment` [n, L], which differs between words that a special token separates.
    """

    number: NDArray[np.int64]
    length: NDArray[np.int64]
    segment: NDArray[np.int64]


def find_words(ids: Ids, vocabulary: Vocabulary) -> WordRuns:
    """Find the words of token ids [n, L]; a continuing piece with no word before it begins one."""
    special = vocabulary.special[ids]
    after_break = np.ones_like(special)
    after_break[:, 1:] = special[:, :-1]
    starts = ~special & (~vocabulary.continues[ids] | after_break)
    number = np.where(special, -1, np.cumsum(starts, axis=1) - 1)
    segment = np.zeros(ids.shape, dtype=np.int64)
    rows, places = np.nonzero(starts)
    segment[rows, number[rows, places]] = np.cumsum(special, axis=1)[rows, places]
    return WordRuns(number, lengths(number), segment)


def lengths(units: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the tokens [n, L] of each unit, from the unit [n, L] of each place (-1: none)."""
    n, width = units.shape
    rows, places = np.nonzero(units >= 0)
    return np.bincount(rows * width + units[rows, places], minlength=n * width).reshape(n, width)


def take_units(units: NDArray[np.int64], rate: float, rng: np.random.Generator) -> Places:
    """Choose whole units of each row in random order until `rate` of its tokens are chosen.

    The unit that would overstep that budget b is taken with probability (b - chosen so far) / its
    length. So the expected number is b exactly, whatever the lengths, and strategies are compared
    at one rate; a row oversteps by less than one unit.

    Args:
        units: [n, L], the unit of each place, counted from 0 in each row; -1 for places never
            chosen.
        rate: the share of tokens, 0 to 1.
        rng: draws the order and the last unit.
    """
    length = lengths(units)
    order = np.argsort(rng.random(length.shape), axis=1)
    ordered = np.take_along_axis(length, order, axis=1)
    taken = np.zeros(length.shape, dtype=np.bool_)
    np.put_along_axis(taken, order, within_budget(ordered, rate * length.sum(axis=1), rng), axis=1)
    return np.take_along_axis(taken, np.maximum(units, 0), axis=1) & (units >= 0)


def within_budget(
    length: NDArray[np.int64], budget: NDArray[np.float64], rng: np.random.Generator
) -> Places:
    """Select the units [n, L] that fit, in order, into a budget of tokens [n].

    The unit across the budget is taken with the probability that makes the expected tokens equal
    the budget.
    """
    left = budget[:, None] - (np.cumsum(length, axis=1) - length)
    fits: Places = rng.random((len(length), 1)) * length < left
    return fits


def strategies() -> dict[str, MethodInfo]:
    """Return every strategy by name, with its settings; the sources are parsed, not imported."""
    files = sorted(
        file for file in Path(__file__).parent.glob("*.py") if not file.name.startswith("_")
    )
    return {info.name: info for info in map(_read, files)}


def parse(spec: str) -> Chosen:
    """Return the strategy and settings of `name` or `name:setting=value,…`, without importing it.

    Raises:
        BenchError: an unknown strategy or setting, or a value that does not fit.
    """
    name, _, tail = spec.partition(":")
    known = strategies()
    if name not in known:
        raise BenchError(f"unknown masking strategy '{name}'", allowed=known, given=name)
    info = known[name]
    assignments = [piece.strip() for piece in tail.split(",") if piece.strip()]
    _check_assignments(info, assignments, spec)
    try:
        chosen = Chosen(info, bind(info, assignments))
    except BenchError as error:  # which speaks of --methods
        raise BenchError(
            error.problem, where=error.where, allowed=error.allowed, fix=f"{name}:setting=value"
        ) from error
    if not 0 <= chosen.settings.get("rate", 0) <= 1:
        raise BenchError(
            f"the rate of '{name}' is {chosen.settings['rate']}",
            allowed="a share of tokens, 0 to 1",
        )
    return chosen


def _check_assignments(info: MethodInfo, assignments: Sequence[str], spec: str) -> None:
    """Refuse an unknown setting, and one without a value."""
    for setting in (piece.partition("=")[0] for piece in assignments):
        if setting not in info.settings:
            problem = f"masking strategy '{info.name}' has no setting '{setting}'"
            raise BenchError(problem, where=str(info.file), allowed=info.settings, given=setting)
    if bare := [piece for piece in assignments if "=" not in piece]:
        setting = f"{bare[0]}={info.settings[bare[0]]}"
        raise BenchError(f"'{spec}' gives no value to '{bare[0]}'", fix=f"{info.name}:{setting}")


def build(spec: str, corpus: Ids, vocabulary: Vocabulary, *, seed: int = 0) -> Choose:
    """Import the strategy a spec names and build it on a corpus [N, L].

    Args:
        spec: `informask`, or with settings `informask:candidates=30,window=11`.
        corpus: token ids, padded with a special id; may be memory-mapped.
        vocabulary: of the corpus.
        seed: of strategies that draw while they are built, unless the spec has its own.

    Raises:
        BenchError: an unknown strategy or setting, or a value that does not fit.
    """
    chosen = parse(spec)
    settings = chosen.settings
    if "seed" in chosen.method.settings:
        settings = {"seed": seed, **settings}
    module = importlib.import_module(f"{__name__}.{chosen.method.file.stem}")
    return cast(Choose, module.strategy(corpus, vocabulary, **settings))


def _read(file: Path) -> MethodInfo:
    """Describe the strategy of a file by its source.

    Raises:
        BenchError: it defines none.
    """
    tree = ast.parse(file.read_text("utf-8"), str(file))
    papers = (node for node in tree.body if isinstance(node, ast.Assign) and _is_paper(node))
    paper = next(papers, None)
    arguments = _strategy(tree, file).args
    return MethodInfo(
        name=file.stem.replace("_", "-"),
        file=file,
        summary=(ast.get_docstring(tree) or "").split("\n", 1)[0],
        paper="" if paper is None else ast.literal_eval(paper.value),
        needs=(),
        settings=_defaults(arguments),
        annotations={
            argument.arg: ast.unparse(argument.annotation)
            for argument in arguments.kwonlyargs
            if argument.annotation
        },
    )


def _is_paper(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "PAPER" for target in node.targets)


def _strategy(tree: ast.Module, file: Path) -> ast.FunctionDef:
    """Return the definition of a file's `strategy`."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "strategy":
            return node
    raise BenchError(
        "a masking file must define strategy(corpus, vocabulary, *, <settings with defaults>)",
        where=str(file),
    )


def _defaults(arguments: ast.arguments) -> Settings:
    """Return the settings of a strategy: the defaults of its keyword arguments."""
    defaults = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {
        argument.arg: ast.literal_eval(value) for argument, value in defaults if value is not None
    }
