"""A head for answers that are spans of a passage: it scores each token as the first and the last.

Devlin et al., 2019, sections 4.2 and 4.3. A passage that is too long is read in windows that
overlap, each after the question.

Axes: B examples, S sequences (windows), T positions of the longest, N tokens, d width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fewbench.data.spans import as_spans, item_scores
from fewbench.errors import BenchError
from fewbench.nn import losses
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, Tokens, collate, moved
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example, Json, Span, Task

QUESTION_TOKENS = 64
"""The most tokens of a question, and no more than a quarter of the maximum length."""

OVERLAP = 128
"""Tokens that neighbouring windows share, and no more than half of a window's passage."""

LONGEST_ANSWER = 30
"""The most tokens of an answer."""

NEVER = -1e4
"""The score of a token that cannot begin or end an answer: finite, for 0 times it is 0."""


class SpanModel(TaskModel):
    """Answers by the span (i, j), i <= j, of the highest S h_i + E h_j; S and E are new vectors.

    h are the last hidden states. Of an example's windows the best span counts; one without the
    answer is trained to point at its first token. Where a task's rows may lack an answer, a span is
    given if its score is higher, by more than a threshold, than that of the first token as first
    and last, the lowest of all windows. The threshold is chosen on dev. All spans of up to
    `LONGEST_ANSWER` tokens are compared.
    """

    threshold: Tensor

    def __init__(self, backbone: Backbone, task: Task) -> None:
        super().__init__(backbone, task)
        config = backbone.config
        self.output = nn.Linear(backbone.width, 2).to(backbone.device)
        nn.init.normal_(self.output.weight, std=getattr(config, "initializer_range", 0.02))
        nn.init.zeros_(self.output.bias)
        self.register_buffer("threshold", torch.zeros((), device=backbone.device))

    def forward(self, batch: Batch) -> Tensor:
        """Score all tokens of each window as the first, and in the next row as the last, [2S, T].

        Beyond a window's end the score is `NEVER`.
        """
        scores: Tensor = self.output(self.backbone.hidden_states(batch)[-1])[
            batch.grid
        ]  # [S, T, 2]
        return scores.masked_fill(~batch.real[..., None], NEVER).transpose(1, 2).flatten(0, 1)

    def answer(self, scores: Tensor) -> Tensor:
        """Return probabilities of the tokens as first and as last, [2S, T]."""
        return scores.softmax(-1)

    def loss(self, batch: Batch) -> Tensor:
        """Return the cross-entropy of the right first and last tokens among all of a window."""
        return losses.cross_entropy(self(batch), batch.labels)

    def collate(self, examples: Sequence[Encoded]) -> Batch:
        """Return the batch of some encoded examples; `labels` [2S] are places within the windows.

        They are those of the first and the last token in turn, and empty without labels.
        """
        bare = [example._replace(label=None) for example in examples]
        batch = collate(bare, self.backbone.device)
        labelled = (example for example in examples if example.label is not None)
        places = list(chain.from_iterable(chain.from_iterable(map(_targets, labelled))))
        return replace(batch, labels=moved(torch.tensor(places), batch.ids.device))

    def answers_to(self, examples: Sequence[Encoded]) -> NDArray[Any]:
        """Return the span of each example's answer, [B, 2], int32."""
        found = self._found(examples)
        if self.task.may_lack_answers:
            found[found[:, 2] <= float(self.threshold)] = 0
        return found[:, :2].astype(np.int32)

    def settle(self, examples: Sequence[Example]) -> None:
        """Choose the threshold of the best dev score."""
        if not self.task.may_lack_answers:
            return
        task = self.task
        found = self.in_batches(examples, self._found)
        given = item_scores(task, examples, as_spans(found[:, :2]), task.metric)
        withheld = item_scores(task, examples, [(0, 0)] * len(examples), task.metric)
        self.threshold.fill_(best_threshold(found[:, 2], given, withheld))

    def describe(self) -> Json:
        """Describe questions cut and the windows, and the threshold if there is one."""
        windows = sum(len(self._encoded[key].sequences) for key in self._read)
        notes = super().describe() | {"windows": windows}
        if self.task.may_lack_answers:
            notes["threshold"] = float(self.threshold)
        return notes

    def _found(self, examples: Sequence[Encoded]) -> NDArray[np.float64]:
        """Return first and last character of each example's best span, and its margin, [B, 3].

        The margin is its score less that of no answer.
        """
        scores = self(self.collate(examples)).float().unflatten(0, (-1, 2))
        windows = list(chain.from_iterable(example.sequences for example in examples))
        inside = pad_sequence([torch.from_numpy(_inside(w)) for w in windows], batch_first=True)
        best = best_spans(scores.masked_fill(~inside[:, None].to(scores.device), NEVER))
        nulls = scores[:, :, 0].sum(1).tolist()
        rows = iter(zip(windows, best, nulls, strict=True))
        return np.array([_best_of([*islice(rows, len(e.sequences))]) for e in examples])

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        if not examples:
            return []
        tokenizer, plain = self.backbone.tokenizer, {"add_special_tokens": False}
        texts = list(dict.fromkeys(example.texts[0] for example in examples))
        read = tokenizer(texts, return_offsets_mapping=True, **plain)
        pairs = zip(read["input_ids"], read["offset_mapping"], strict=True)
        passages = dict(zip(texts, pairs, strict=True))  # many questions have the same
        questions = tokenizer([example.texts[1] for example in examples], **plain)["input_ids"]
        return [
            self._windows(question, *passages[example.texts[0]])
            for question, example in zip(questions, examples, strict=True)
        ]

    def _windows(self, question: list[int], passage: list[int], spans: list[Span]) -> Encoded:
        """Encode a question with each window of its passage, whose tokens have these spans."""
        tokenizer, length = self.backbone.tokenizer, self.task.max_length
        asked = question[: min(QUESTION_TOKENS, length // 4)]
        room = length - len(asked) - 3
        before = (tokenizer.cls_token_id, *asked, tokenizer.sep_token_id)
        windows = []
        for start in window_starts(len(passage), room, min(OVERLAP, room // 2)):
            read = passage[start : start + room]
            places = [*[(0, 0)] * len(before), *spans[start : start + room], (0, 0)]
            segments = (*[0] * len(before), *[1] * (len(read) + 1))
            ids = (*before, *read, tokenizer.sep_token_id)
            windows.append(Tokens(ids, segments, spans=np.array(places, np.int32)))
        return Encoded(tuple(windows), None, len(question) - len(asked))


class BestSpan(NamedTuple):
    """The best span of a window: places of its first and last token, and its score."""

    first: int
    last: int
    score: float


def best_spans(scores: Tensor) -> list[BestSpan]:
    """Return the span of each window with the highest sum of scores, of up to `LONGEST_ANSWER`.

    Args:
        scores: of all tokens as the first and as the last, [S, 2, T].
    """
    firsts, lasts = scores.unbind(1)
    width = firsts.shape[1]
    sums = [
        (firsts[:, : width - more] + lasts[:, more:]).max(1)
        for more in range(min(LONGEST_ANSWER, width))
    ]
    values = torch.stack([found.values for found in sums])  # [length of the span - 1, S]
    places = torch.stack([found.indices for found in sums])
    more = values.argmax(0, keepdim=True)
    first = places.gather(0, more)[0].tolist()
    score = values.gather(0, more)[0].tolist()
    return [
        BestSpan(start, start + length, value)
        for start, length, value in zip(first, more[0].tolist(), score, strict=True)
    ]


def window_starts(length: int, room: int, overlap: int) -> list[int]:
    """Return the starts of a passage's windows, by its length and that of a window in tokens."""
    starts = [0]
    while starts[-1] + room < length:
        starts.append(starts[-1] + room - overlap)
    return starts


def best_threshold(
    margins: NDArray[np.float64], given: NDArray[np.float64], withheld: NDArray[np.float64]
) -> float:
    """Return the threshold by which the scores of n examples add up to the most.

    An answer is given if its margin is above the threshold. Thresholds lie half-way between two
    margins; of equally good ones the highest is taken, as SQuAD 2.0's evaluation does.

    Args:
        margins: of the answers, [n].
        given: what each answer scores, [n].
        withheld: what no answer scores, [n].
    """
    values, where = np.unique(-margins, return_inverse=True)
    gains = np.bincount(where.ravel(), given - withheld)
    totals = np.concatenate([[0.0], gains.cumsum()])
    falling = -values
    edges = [falling[0] + 1, *(falling[:-1] + falling[1:]) / 2, falling[-1] - 1]
    return float(edges[int(totals.round(9).argmax())])


def check_span_reader(backbone: Backbone) -> None:
    """Refuse a model whose tokens cannot be found in a text, or that has no first token.

    Raises:
        BenchError: it is an encoder-decoder, or its tokenizer is not fast.
    """
    if type(backbone) is Backbone and backbone.tokenizer.is_fast:
        return
    raise BenchError(
        f"{backbone.ref.name} cannot answer by a span of a passage",
        where=backbone.ref.path,
        allowed="masked language models with a fast tokenizer",
        fix="another model (bench ls models)",
    )


def _targets(example: Encoded) -> Iterator[tuple[int, int]]:
    """Yield the places of the right first and last token in each window."""
    for window in example.sequences:
        yield _target(window, example.answer)


def _target(window: Tokens, answer: Span | None) -> tuple[int, int]:
    """Return the places of an answer's tokens, or twice that of no answer where it is not whole."""
    spans, places = _spans(window), np.flatnonzero(_inside(window))
    if answer is None or not len(places):
        return window.read, window.read
    starts, ends = spans[places].T
    is_whole = starts[0] <= answer[0] and answer[1] <= ends[-1]
    touched = places[(starts < answer[1]) & (ends > answer[0])]
    if not is_whole or not len(touched):
        return window.read, window.read
    return int(touched[0]), int(touched[-1])


def _spans(window: Tokens) -> NDArray[np.int32]:
    assert window.spans is not None
    return window.spans


def _inside(window: Tokens) -> NDArray[np.bool_]:
    """Return a mask of the tokens of a window that are of the passage, [T]."""
    starts, ends = _spans(window).T
    return np.asarray(starts < ends)


Row = tuple[Tokens, BestSpan, float]
"""A window, its best span, and the score of no answer."""


def _best_of(windows: Sequence[Row]) -> tuple[float, float, float]:
    """Return the first and last character of the best span of some windows, and its margin."""
    window, best, _ = max(windows, key=lambda row: row[1].score)
    null = min(row[2] for row in windows)
    spans = _spans(window)
    return float(spans[best.first, 0]), float(spans[best.last, 1]), best.score - null
