"""Choose demonstrations for in-context learning, and a model that reads them before each query.

Brown et al., 2020; as in LM-BFF the answers of the demonstrations stand in place of their masks.
Axes: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded
from fewbench.nn.calibration import Rule, calibrated, content_free, mean_shares
from fewbench.nn.causal import CausalBackbone, opening
from fewbench.nn.kinds import prompt_model
from fewbench.nn.prompt import PromptModel
from fewbench.nn.task_model import TaskModel
from fewbench.nn.verbalizer import word_ids
from fewbench.types import Example, Json, Task


class Demonstration(NamedTuple):
    """A training example as token ids: its label word at the mask, and a separator at its end."""

    example: str
    ids: tuple[int, ...]


class InContextModel(TaskModel):
    """A prompt behind demonstrations that are the same for every query.

    A query keeps the task's maximum length, or half of the model's positions where that is less;
    demonstrations share the rest.

    Args:
        backbone: masked or causal.
        task: gives template and label words.
        demonstrations: what stands before each query (`demonstrate`), each an example's id and its
            token ids.
        candidates: the number of examples they were chosen from.
        calibration: the rule by which its answers to no content are taken out of its answers.
    """

    prior: Tensor

    def __init__(
        self,
        backbone: Backbone,
        task: Task,
        demonstrations: Sequence[tuple[str, Sequence[int]]],
        candidates: int,
        calibration: Rule | None = None,
    ) -> None:
        super().__init__(backbone, task)
        self.prompt = prompt_model(backbone, replace(task, max_length=query_length(backbone, task)))
        self.candidates = candidates
        self.demonstrations = [
            Demonstration(example, tuple(ids)) for example, ids in demonstrations
        ]
        self.context = tuple(chain.from_iterable(ids for _, ids in self.demonstrations))
        self.start = len(opening(backbone)) if isinstance(backbone, CausalBackbone) else 1
        self.calibration: Rule | None = None  # as long as it is asked for its prior
        if calibration:
            inputs = self.prompt._encode_new(content_free(task, calibration))
            prior = mean_shares(self, [self._behind(encoded) for encoded in inputs])
            self.register_buffer("prior", prior)
            self.calibration = calibration

    def blueprint(self) -> Json:
        """Return the demonstrations."""
        return {
            "demonstrations": self.demonstrations,
            "candidates": self.candidates,
            "calibration": self.calibration,
        }

    def encode(self, examples: Sequence[Example]) -> list[Encoded]:
        """Return queries as token ids behind the demonstrations, which were tokenised once."""
        return [self._behind(encoded) for encoded in self.prompt.encode(examples)]

    def _behind(self, encoded: Encoded) -> Encoded:
        (tokens,) = encoded.sequences
        ids = (*tokens.ids[: self.start], *self.context, *tokens.ids[self.start :])
        read = tokens.read + len(self.context)
        moved = tokens._replace(ids=ids, segments=(0,) * len(ids), read=read)
        return encoded._replace(sequences=(moved,))

    def forward(self, batch: Batch) -> Tensor:
        """Return class scores (logits, or calibrated ones), [B, C]."""
        scores: Tensor = self.prompt(batch)
        return calibrated(scores, self.prior, self.calibration) if self.calibration else scores

    def answer(self, scores: Tensor) -> Tensor:
        """Return probabilities [B, C], or values [B] for regression."""
        return self.prompt.answer(scores)

    def loss(self, batch: Batch) -> Tensor:
        """Return the prompt's loss."""
        return self.prompt.loss_of(self(batch), batch.labels)

    def describe(self) -> Json:
        """Return the prompt's description and the demonstrations before it, in their order."""
        prior = {"content_free": self.prior.tolist()} if self.calibration else {}
        return (
            self.prompt.describe()
            | prior
            | {
                "demonstrations": {
                    "used": len(self.demonstrations),
                    "of": self.candidates,
                    "tokens": len(self.context),
                    "examples": [example for example, _ in self.demonstrations],
                }
            }
        )

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        return self.prompt._encode_new(examples)


def query_length(backbone: Backbone, task: Task) -> int:
    """Return the largest number of tokens of a query."""
    return min(task.max_length, backbone.places // 2)


def demonstrate(
    backbone: Backbone, task: Task, train: Sequence[Example], most: int, seed: int
) -> list[Demonstration]:
    """Choose demonstrations, as many of each class and `most` in all, that fit beside a query.

    They come in rounds of one example a class, drawn by the seed; a round that does not fit gives
    way to the next. Each is cut to its class's share of the room, so that one round fits unless a
    template or options alone are longer. The order of those chosen is drawn too. A regression has
    two classes: its lower word up to the middle of its bounds, its upper word above.
    """
    words = [ids[0] for ids in word_ids(task, backbone.tokenizer)]
    separator = _separator(backbone)
    room = backbone.places - query_length(backbone, task)
    share = min(task.max_length, room // len(words) + 2 - len(separator))
    # A PromptModel for causal models too: the text after the mask belongs to a demonstration.
    prompt = PromptModel(backbone, replace(task, max_length=share))
    rng = np.random.default_rng(seed)
    classes: list[list[Demonstration]] = [[] for _ in words]
    for row in rng.permutation(len(train)):
        label = _label(task, train[row])
        ids = _ids(prompt, train[row], words[label])
        if ids is not None:
            classes[label].append(Demonstration(train[row].id, (*ids, *separator)))
    chosen: list[Demonstration] = []
    for group in zip(*classes, strict=False):
        longer = [*chosen, *group]
        if len(longer) <= most and sum(len(ids) for _, ids in longer) <= room:
            chosen = longer
    return [chosen[place] for place in rng.permutation(len(chosen))]


def _ids(prompt: PromptModel, example: Example, word: int) -> tuple[int, ...] | None:
    try:
        (encoded,) = prompt.encode([example.without_label()])
    except BenchError:  # its template and options alone are longer than its share
        return None
    (tokens,) = encoded.sequences
    return (*tokens.ids[1 : tokens.read], word, *tokens.ids[tokens.read + 1 : -1])


def _label(task: Task, example: Example) -> int:
    assert example.label is not None
    if task.bounds:
        return int(example.label > sum(task.bounds) / 2)
    return int(example.label)


def _separator(backbone: Backbone) -> tuple[int, ...]:
    """Return a masked model's separator token, or a causal one's tokens of an empty line."""
    if isinstance(backbone, CausalBackbone):
        return tuple(backbone.tokenizer("\n\n", add_special_tokens=False)["input_ids"])
    return (backbone.tokenizer.sep_token_id,)
