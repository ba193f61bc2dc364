"""The factual probe of LAMA: rank a fact's object at the mask by a masked language model.

Petroni et al., 2019, section 4; thesis, chapter 7. The subject replaces [X] of the relation's
template and the mask [Y]; the model scores its vocabulary at the mask, and the fact's reciprocal
rank is that of its object's token.

As in LAMA, all tokens of the tokenizer are ranked, special tokens and pieces of words among them.
Rows of the head beyond the tokenizer's tokens are padding and left out. Ties are resolved:
rank = 1 + the tokens of a greater score + the tokens of the same score and a lower id.

A fact is scored if its object is one token in that place: the filled template has the same tokens
as the masked one but for the one at the mask. This respects a family's space before a word and a
tokenizer's casing. Other facts are left out, and counted.

Axes: F facts, S texts, Q questions (a text and an object), V vocabulary, d width.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fewbench.data.facts import Fact, FactSet
from fewbench.errors import BenchError, ModelError
from fewbench.measure.fact_scores import LEFT_OUT, Recalls, recalls
from fewbench.nn.batch import Encoded, Tokens, by_length, collate
from fewbench.nn.encoder import encode
from fewbench.nn.families import family_of

NO_TOKEN = -1
"""The token id of an object that is not one token."""

BATCH = {"cpu": 1024, "cuda": 16384}
"""Tokens per batch, by device; most of the memory goes to the scores [S, V] of its texts."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Tokenised facts, made once for any number of probes.

    `texts` are the S distinct masked texts, `text_of` [F] the number of each fact's text, `tokens`
    [F] its object's token id or `NO_TOKEN`; `size` is the tokenizer's number of tokens, and
    `vocabulary` a hash of them and their ids.
    """

    facts: FactSet
    texts: tuple[Encoded, ...]
    text_of: NDArray[np.int64]
    tokens: NDArray[np.int64]
    size: int
    vocabulary: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A model's ranks of the objects of a set of facts.

    `ranks` [F] are from 1, or `LEFT_OUT`; `too_long` counts those left out that did not fit the
    model's positions. `seconds` is the model's time, without tokenisation.
    """

    questions: Questions
    ranks: NDArray[np.int64]
    recalls: Recalls
    too_long: int
    seconds: float

    def among(self, chosen: NDArray[np.bool_]) -> Recalls:
        """Return the figures over the facts `chosen` [F]; the others count as left out."""
        ranks = np.where(chosen, self.ranks, LEFT_OUT)
        return recalls(self.questions.facts, ranks, self.questions.tokens)


def probe(
    model: nn.Module, tokenizer: Any, facts: FactSet, *, batch: int | None = None
) -> ProbeResult:
    """Ask a masked language model for the objects of facts.

    The model stays on its device, and its mode, its gradients and the state of random generators do
    not change, so that it can be probed during training. For several probes, `prepare` once and
    `ask` each time.

    Args:
        model: a `…ForMaskedLM` of transformers, of a family in `fewbench.nn.families`.
        tokenizer: its tokenizer.
        facts: the F facts.
        batch: tokens per batch, padding included; the default suits the device.

    Raises:
        BenchError: a text already has a mask token, or no object is one token.
        ModelError: the family is unknown, or a score is not finite.
    """
    return ask(model, prepare(tokenizer, facts), batch=batch)


def prepare(tokenizer: Any, facts: FactSet) -> Questions:
    """Tokenise facts, each distinct text once.

    Raises:
        BenchError: a text already has a mask token, or no object is one token.
    """
    numbers: dict[str, int] = {}
    text_of = [numbers.setdefault(text, len(numbers)) for text in facts.texts(tokenizer.mask_token)]
    texts = tuple(_encoded(tokenizer, list(numbers)))
    masked = [texts[number].sequences[0] for number in text_of]
    tokens = np.array(_object_tokens(tokenizer, facts, masked), np.int64)
    if (tokens == NO_TOKEN).all():
        raise BenchError(
            f"{facts.name}: no object is one token of this tokenizer", allowed="another model"
        )
    vocabulary = _vocabulary_hash(tokenizer)
    return Questions(facts, texts, np.array(text_of, np.int64), tokens, len(tokenizer), vocabulary)


def _object_tokens(tokenizer: Any, facts: FactSet, masked: Sequence[Tokens]) -> list[int]:
    """Return the token id of each fact's object, or `NO_TOKEN`.

    An object is tokenised once per relation, in the text of the first fact that has it, and in each
    sentence of a fact's own.
    """
    first_rows: dict[tuple[str, ...], int] = {}
    filled = []
    for row, (fact, text) in enumerate(zip(facts.facts, facts.texts(), strict=True)):
        if _place(fact) not in first_rows:
            first_rows[_place(fact)] = row
            filled.append(text)
    tokens: dict[tuple[str, ...], int] = {}
    texts = tokenizer(filled)["input_ids"]
    for (place, row), ids in zip(first_rows.items(), texts, strict=True):
        tokens[place] = _object_token(masked[row], ids, tokenizer.unk_token_id)
    return [tokens[_place(fact)] for fact in facts.facts]


def _place(fact: Fact) -> tuple[str, ...]:
    return fact.relation, fact.object, fact.sentence


def ask(model: nn.Module, questions: Questions, *, batch: int | None = None) -> ProbeResult:
    """Rank the objects of prepared facts; see `probe`.

    Raises:
        ModelError: the family is unknown, the vocabulary does not fit, or a score is not finite.
    """
    device = next(model.parameters()).device
    started = time.perf_counter()
    embedder = family_of(model).embedder(model)
    positions = cast(nn.Embedding, embedder.positions).num_embeddings - embedder.first_position
    fits = np.array([text.length <= positions for text in questions.texts])[questions.text_of]
    has_token = questions.tokens != NO_TOKEN
    ranks = np.full(len(has_token), LEFT_OUT, np.int64)
    scored = np.flatnonzero(has_token & fits)
    batch = batch or BATCH.get(device.type, BATCH["cpu"])
    for rows, batch_ranks in _ranks(model, questions, scored, batch, device):
        ranks[rows] = batch_ranks.cpu().numpy()
    seconds = time.perf_counter() - started
    return ProbeResult(
        questions=questions,
        ranks=ranks,
        recalls=recalls(questions.facts, ranks, questions.tokens),
        too_long=int((has_token & ~fits).sum()),
        seconds=seconds,
    )


@torch.no_grad()
def _ranks(
    model: nn.Module,
    questions: Questions,
    facts: NDArray[np.int64],
    batch: int,
    device: torch.device,
) -> Iterator[tuple[list[int], Tensor]]:
    """Yield facts and the ranks of their objects, batch by batch."""
    facts_of: dict[int, list[int]] = {}
    for fact in facts.tolist():
        facts_of.setdefault(int(questions.text_of[fact]), []).append(fact)
    numbers = list(facts_of)
    texts = [questions.texts[number] for number in numbers]
    for indices in by_length(texts, batch):
        scores = mask_scores(model, [texts[index] for index in indices], questions.size, device)
        for places, rows in _turns([facts_of[numbers[index]] for index in indices]):
            objects = torch.from_numpy(questions.tokens[rows]).to(device)
            if len(places) == len(scores):  # true of most texts, which saves a copy of the scores
                yield rows, ranks_of(scores, objects)
            else:
                yield rows, ranks_of(scores[torch.tensor(places, device=device)], objects)


def _turns(groups: Sequence[list[int]]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the first member of each group, then the second of those that have one, and so on.

    Each turn is the places of its groups and their members.
    """
    for turn in range(max(map(len, groups))):
        places = [place for place, group in enumerate(groups) if turn < len(group)]
        yield places, [groups[place][turn] for place in places]


def mask_scores(
    model: nn.Module, texts: Sequence[Encoded], size: int, device: torch.device
) -> Tensor:
    """Return the scores of the tokenizer's tokens at the masks, [S, V]."""
    family = family_of(model)
    batch = collate(texts, device)
    states = encode(family.embedder(model), family.layers(model), batch, training=False)
    scores = family.decoder(model)(family.transform(model, states))
    if scores.shape[1] < size:
        raise ModelError(f"the tokenizer has {size} tokens, but the model scores {scores.shape[1]}")
    sums = scores.sum(1, dtype=torch.float32)  # not finite if one of its numbers is not
    if not sums.isfinite().all():
        raise ModelError("the scores at the mask are not finite")
    return cast(Tensor, scores[:, :size])


def ranks_of(scores: Tensor, objects: Tensor) -> Tensor:
    """Return the ranks [Q], from 1, of the tokens `objects` [Q] by their scores [Q, V].

    rank = 1 + #(greater scores) + #(equal scores of a lower id).
    """
    gold = scores.gather(1, objects[:, None])
    greater = (scores > gold).sum(1, dtype=torch.int32)  # on the CPU four times as fast as int64
    ranks = 1 + greater
    equal = scores == gold
    if int(equal.count_nonzero()) > len(objects):
        before = torch.arange(scores.shape[1], device=scores.device) < objects[:, None]
        ranks = ranks + (equal & before).sum(1, dtype=torch.int32)
    return ranks


def _encoded(tokenizer: Any, texts: list[str]) -> Iterator[Encoded]:
    mask = tokenizer.mask_token_id
    for text, ids in zip(texts, tokenizer(texts)["input_ids"], strict=True):
        if ids.count(mask) != 1:
            raise BenchError(
                f"this text has a mask token besides the object's: {text}",
                fix="leave this fact out",
            )
        tokens = Tokens(tuple(ids), (0,) * len(ids), ids.index(mask))
        yield Encoded((tokens,), None)


def _object_token(masked: Tokens, filled: Sequence[int], unknown: int | None) -> int:
    """Return the token that replaces the mask in the filled text, or `NO_TOKEN`."""
    mask = masked.read
    if len(filled) != len(masked.ids):
        return NO_TOKEN
    with_mask = (*filled[:mask], masked.ids[mask], *filled[mask + 1 :])
    if with_mask != masked.ids or filled[mask] == unknown:
        return NO_TOKEN
    return filled[mask]


def _vocabulary_hash(tokenizer: Any) -> str:
    text = json.dumps(sorted(tokenizer.get_vocab().items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
