"""The factual probe of LAMA: where does a masked language model rank a fact's object at the mask?

Petroni et al., 2019, section 4; thesis, chapter 7. The subject stands at [X] of the relation's
template and the mask at [Y]; the model scores its vocabulary there, and the fact's reciprocal rank
is that of its object's token.

What is ranked is the whole vocabulary, as in LAMA: every token of the tokenizer, special tokens and
pieces of words included; rows of the head beyond the tokenizer's tokens only pad it, and are left
out. Ties have one answer: rank = 1 + the tokens of a greater score + the tokens of the same score
and a lower id.

A fact is scored if its object is one token, as the tokenizer cuts it in that place: the filled
template has the same tokens as the masked one, but for the one at the mask. So a family's space
before a word and a tokenizer's casing are respected. Other facts are left out, and counted.

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

from fewbench.data.facts import FactSet
from fewbench.errors import BenchError, ModelError
from fewbench.measure.fact_scores import LEFT_OUT, Recalls, recalls
from fewbench.nn.batch import Encoded, Tokens, by_length, collate
from fewbench.nn.encoder import encode
from fewbench.nn.families import family_of

NO_TOKEN = -1
"""The token id of an object that is not one token."""

BATCH = {"cpu": 1024, "cuda": 16384}
"""Tokens a batch; the scores [S, V] of its texts are what takes the room."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Facts as a tokenizer cuts them: made once, asked of a model as often as one likes.

    `texts` are the S different masked texts, `text_of` [F] each fact's, `tokens` [F] its object's
    token id or `NO_TOKEN`; `size` is the tokenizer's number of tokens, and `vocabulary` a hash of
    them and their ids.
    """

    facts: FactSet
    texts: tuple[Encoded, ...]
    text_of: NDArray[np.int64]
    tokens: NDArray[np.int64]
    size: int
    vocabulary: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a model knows of a set of facts.

    `ranks` [F] are from 1, or `LEFT_OUT`; `too_long` of those left out did not fit the model's
    positions. `seconds` is the time the model took, without cutting the texts into tokens.
    """

    questions: Questions
    ranks: NDArray[np.int64]
    recalls: Recalls
    too_long: int
    seconds: float

    def among(self, kept: NDArray[np.bool_]) -> Recalls:
        """Return the figures over some of the facts alone, `kept` [F]; the others count as left
        out.
        """
        return recalls(
            self.questions.facts, np.where(kept, self.ranks, LEFT_OUT), self.questions.tokens
        )


def probe(
    model: nn.Module, tokenizer: Any, facts: FactSet, *, batch: int | None = None
) -> ProbeResult:
    """Ask a masked language model for the objects of facts.

    The model is used where it is, on the CPU or on CUDA, and left as it was: its mode, its
    gradients and the state of random generators do not change, so that training can ask in between.
    To ask often, `prepare` once and `ask`.

    Args:
        model: a `…ForMaskedLM` of transformers, of a family in `fewbench.nn.families`.
        tokenizer: its tokenizer.
        facts: the F facts.
        batch: tokens a batch (padded texts); the default suits the device.

    Raises:
        BenchError: a text with a mask token of its own, or no object that is one token.
        ModelError: a family that is not known, or scores that are not finite.
    """
    return ask(model, prepare(tokenizer, facts), batch=batch)


def prepare(tokenizer: Any, facts: FactSet) -> Questions:
    """Cut facts into tokens, each different text once.

    Raises:
        BenchError: a text with a mask token of its own, or no object that is one token.
    """
    relations = {relation.id: relation for relation in facts.relations}
    number: dict[str, int] = {}
    text_of = np.array(
        [
            number.setdefault(
                relations[fact.relation].fill(fact.subject, tokenizer.mask_token), len(number)
            )
            for fact in facts.facts
        ],
        np.int64,
    )
    texts = tuple(_encoded(tokenizer, list(number)))
    objects: dict[tuple[str, str], int] = {}  # by relation and object, the first fact that has them
    first = [
        objects.setdefault((fact.relation, fact.object), row)
        for row, fact in enumerate(facts.facts)
    ]
    rows = list(objects.values())
    filled = [
        relations[fact.relation].fill(fact.subject, fact.object)
        for fact in (facts.facts[row] for row in rows)
    ]
    token_of = {
        row: _object_token(texts[text_of[row]].sequences[0], ids, tokenizer.unk_token_id)
        for row, ids in zip(rows, tokenizer(filled)["input_ids"], strict=True)
    }
    tokens = np.array([token_of[row] for row in first], np.int64)
    if (tokens == NO_TOKEN).all():
        raise BenchError(
            f"{facts.name}: no object is one token of this tokenizer", allowed="another model"
        )
    return Questions(facts, texts, text_of, tokens, len(tokenizer), _vocabulary_hash(tokenizer))


def ask(model: nn.Module, questions: Questions, *, batch: int | None = None) -> ProbeResult:
    """Rank the objects of prepared facts; see `probe`.

    Raises:
        ModelError: a family that is not known, a vocabulary that does not fit, or scores that are
            not finite.
    """
    device = next(model.parameters()).device
    started = time.perf_counter()
    embedder = family_of(model).embedder(model)
    places = cast(nn.Embedding, embedder.positions).num_embeddings - embedder.first_position
    fits = np.array([text.length <= places for text in questions.texts])[questions.text_of]
    one = questions.tokens != NO_TOKEN
    ranks = np.full(len(one), LEFT_OUT, np.int64)
    asked = np.flatnonzero(one & fits)
    for rows, found in _answers(
        model, questions, asked, batch or BATCH.get(device.type, BATCH["cpu"]), device
    ):
        ranks[rows] = found.cpu().numpy()
    seconds = time.perf_counter() - started
    return ProbeResult(
        questions,
        ranks,
        recalls(questions.facts, ranks, questions.tokens),
        int((one & ~fits).sum()),
        seconds,
    )


@torch.no_grad()
def _answers(
    model: nn.Module,
    questions: Questions,
    asked: NDArray[np.int64],
    tokens: int,
    device: torch.device,
) -> Iterator[tuple[list[int], Tensor]]:
    """Yield facts and the ranks of their objects, batch by batch."""
    of_text: dict[int, list[int]] = {}
    for row in asked.tolist():
        of_text.setdefault(int(questions.text_of[row]), []).append(row)
    numbers = list(of_text)
    texts = [questions.texts[number] for number in numbers]
    for indices in by_length(texts, tokens):
        scores = _scores(model, [texts[index] for index in indices], questions.size, device)
        turns = [of_text[numbers[index]] for index in indices]
        for turn in range(
            max(map(len, turns))
        ):  # nearly every text has one object: no scores are copied for it
            places = [place for place, rows in enumerate(turns) if turn < len(rows)]
            rows = [turns[place][turn] for place in places]
            own = (
                scores
                if len(places) == len(scores)
                else scores[torch.tensor(places, device=device)]
            )
            yield rows, ranks_of(own, torch.from_numpy(questions.tokens[rows]).to(device))


def _scores(model: nn.Module, texts: Sequence[Encoded], size: int, device: torch.device) -> Tensor:
    """Return the scores of the tokenizer's tokens at the masks, [S, V]."""
    family = family_of(model)
    batch = collate(texts, device)
    states = encode(family.embedder(model), family.layers(model), batch, training=False)
    scores = family.decoder(model)(family.transform(model, states))
    if scores.shape[1] < size:
        raise ModelError(f"the tokenizer has {size} tokens and the model scores {scores.shape[1]}")
    if (
        not scores.sum(1, dtype=torch.float32).isfinite().all()
    ):  # a number that is not finite makes its sum such
        raise ModelError("the scores at the mask hold numbers that are not finite")
    return cast(Tensor, scores[:, :size])


def ranks_of(scores: Tensor, objects: Tensor) -> Tensor:
    """Return the ranks [Q], from 1, of the tokens `objects` [Q] by their scores [Q, V].

    rank = 1 + #(greater scores) + #(equal scores of a lower id).
    """
    gold = scores.gather(1, objects[:, None])
    ranks = 1 + (scores > gold).sum(
        1, dtype=torch.int32
    )  # int32: four times as fast on the CPU as int64
    equal = scores == gold
    if int(equal.count_nonzero()) > len(objects):
        before = torch.arange(scores.shape[1], device=scores.device) < objects[:, None]
        ranks = ranks + (equal & before).sum(1, dtype=torch.int32)
    return ranks


def _encoded(tokenizer: Any, texts: list[str]) -> Iterator[Encoded]:
    for text, ids in zip(texts, tokenizer(texts)["input_ids"], strict=True):
        if ids.count(tokenizer.mask_token_id) != 1:
            raise BenchError(
                f"this text has a mask token besides the object's: {text}",
                fix="leave this fact out",
            )
        yield Encoded(
            (Tokens(tuple(ids), (0,) * len(ids), ids.index(tokenizer.mask_token_id)),), None
        )


def _object_token(masked: Tokens, filled: Sequence[int], unknown: int | None) -> int:
    """Return the one token that stands at the mask's place in the filled text, or `NO_TOKEN`."""
    same = len(filled) == len(masked.ids) and all(
        ours == theirs or place == masked.read
        for place, (ours, theirs) in enumerate(zip(filled, masked.ids, strict=True))
    )
    return filled[masked.read] if same and filled[masked.read] != unknown else NO_TOKEN


def _vocabulary_hash(tokenizer: Any) -> str:
    return hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()[
        :16
    ]
