"""A backbone with a task's head. Axes: B batch, C classes, n examples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, by_length, collate
from fewbench.nn.memory import in_parts
from fewbench.types import Example, Json, Predictions, Span, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self

TOKENS_A_BATCH = 4096
"""Padded tokens scored at once: a few MiB of activations for small models, and short texts still in
large batches.
"""


class TaskModel(nn.Module):
    """The base of prompted and headed models, which add `_encode_new`, `forward`, `answer`, `loss`.

    Args:
        backbone: the model underneath; it remembers encodings, so that all trials of a run share
            them.
        task: names format, labels, bounds and maximum length.
    """

    def __init__(self, backbone: Backbone, task: Task) -> None:
        super().__init__()
        self.backbone = backbone
        self.task = task
        view = f"{type(self).__name__} {task.full_name} {task.template} {task.max_length}"
        self._encoded = backbone.encodings.setdefault(view, {})
        self._read: set[tuple[object, ...]] = (
            set()
        )  # of them, what this model was given: other runs share the rest

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Return scores [B, C], or [B, 1] from a regression head."""

    @abstractmethod
    def answer(self, scores: Tensor) -> Tensor:
        """Return probabilities [B, C], or values [B] for regression."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the task's own loss on a labelled batch, a scalar."""

    @abstractmethod
    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]: ...

    def extra_tokens(self) -> tuple[int, ...]:
        """Return token ids the model looks up besides those of its inputs (label words)."""
        return ()

    def encode(self, examples: Sequence[Example]) -> list[Encoded]:
        """Return the examples as token ids; each example is tokenised once per run."""
        keys = [(example.id, example.texts, example.options) for example in examples]
        new = {
            key: example
            for key, example in zip(keys, examples, strict=True)
            if key not in self._encoded
        }
        self._encoded.update(zip(new, self._encode_new(list(new.values())), strict=True))
        self._read.update(keys)
        return [
            self._encoded[key]._replace(label=example.label, answer=_first(example.answers))
            for key, example in zip(keys, examples, strict=True)
        ]

    def forget(self) -> None:
        """Forget what was encoded: of a stream of examples each comes once."""
        self._encoded.clear()
        self._read.clear()

    def describe(self) -> Json:
        """Describe the model for a record: the number of inputs cut to the maximum length."""
        cuts = [cut for key in self._read if (cut := self._encoded[key].truncated)]
        return {"truncated": {"examples": len(cuts), "tokens": sum(cuts), "of": len(self._read)}}

    def settle(self, examples: Sequence[Example]) -> None:
        """Choose by dev examples, labels included, what is chosen and not trained: a threshold.

        It is called before each dev score. What is chosen is a buffer of floats, which is kept with
        the best weights.
        """

    def blueprint(self) -> Json:
        """Describe the model as JSON for `rebuild`, but for backbone, task and weights."""
        return {}

    @classmethod
    def rebuild(cls, backbone: Backbone, task: Task, **blueprint: Any) -> Self:
        """Return a model like the one that gave the blueprint, its weights still to be loaded."""
        return cls(backbone, task, **blueprint)

    def collate(self, examples: Sequence[Encoded]) -> Batch:
        """Return the batch of some encoded examples, on the model's device."""
        return collate(examples, self.backbone.device)

    def answers_to(self, examples: Sequence[Encoded]) -> NDArray[Any]:
        """Return the model's answers to a batch of encoded examples, as predictions hold them."""
        return self.answer(self(self.collate(examples)).float()).cpu().numpy()

    @torch.no_grad()
    def in_batches(
        self, examples: Sequence[Example], asked: Callable[[Sequence[Encoded]], NDArray[Any]]
    ) -> NDArray[Any]:
        """Return a function's rows for n examples without labels, [n, ...], in their order.

        It is called in evaluation mode with batches of like length, smaller ones if memory is
        short.
        """
        was_training = self.training
        self.eval()
        encoded = self.encode([example.without_label() for example in examples])
        rows: list[NDArray[Any] | None] = [None] * len(encoded)
        batches = by_length(encoded, TOKENS_A_BATCH)
        for indices, found in in_parts(batches, lambda part: asked([encoded[i] for i in part])):
            for index, row in zip(indices, found, strict=True):
                rows[index] = row
        self.train(was_training)
        return np.stack([row for row in rows if row is not None])

    def predict(self, examples: Sequence[Example]) -> Predictions:
        """Predict examples, in batches of like length; the answers come in the examples' order.

        Raises:
            ValueError: the model gave numbers that are not finite.
        """
        array = self.in_batches(examples, self.answers_to)
        ids = tuple(example.id for example in examples)
        return Predictions.of(self.task.answer_kind, ids, array)


def _first(answers: Sequence[Span]) -> Span | None:
    return answers[0] if answers else None
