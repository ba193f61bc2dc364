"""Calibrate a prompt that was never trained, by what it answers to inputs without content.

Axes: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded
from fewbench.nn.long_words import words_model
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example, Json, Task

Rule = Literal["contextual", "pmi"]

CONTENT_FREE: dict[Rule, tuple[str, ...]] = {"contextual": ("N/A", "", "[MASK]"), "pmi": ("",)}
"""The texts that stand in the place of an input's. The last of the three is text, too, no mask."""


class CalibratedPrompt(TaskModel):
    """A prompt whose class scores are corrected by `prior`, its answer to no content, [C].

    `contextual`: q = softmax(W p), where W is diagonal with 1 / prior (Zhao et al., 2021, equation
    1). `pmi`: log p - log prior, the pointwise mutual information of input and answer (Holtzman et
    al., 2021). p are probabilities among the classes.
    """

    prior: Tensor

    def __init__(self, backbone: Backbone, task: Task, rule: Rule) -> None:
        super().__init__(backbone, task)
        self.rule = rule
        self.prompt = words_model(backbone, task)
        inputs = self.prompt._encode_new(content_free(task, rule))
        self.register_buffer("prior", mean_shares(self.prompt, inputs))

    def blueprint(self) -> Json:
        """Return the rule."""
        return {"rule": self.rule}

    def encode(self, examples: Sequence[Example]) -> list[Encoded]:
        """Return the prompt's token ids."""
        return self.prompt.encode(examples)

    def forward(self, batch: Batch) -> Tensor:
        """Return calibrated class scores, [B, C]."""
        return calibrated(self.prompt(batch), self.prior, self.rule)

    def answer(self, scores: Tensor) -> Tensor:
        """Return probabilities [B, C], or values [B] for regression."""
        return self.prompt.answer(scores)

    def loss(self, batch: Batch) -> Tensor:
        """Return the prompt's loss of calibrated scores."""
        return self.prompt.loss_of(self(batch), batch.labels)

    def extra_tokens(self) -> tuple[int, ...]:
        """Return the label words' token ids."""
        return self.prompt.extra_tokens()

    def describe(self) -> Json:
        """Return the prompt's description, and its probabilities of classes without content."""
        return self.prompt.describe() | {"content_free": self.prior.tolist()}

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        return self.prompt._encode_new(examples)


@torch.no_grad()
def mean_shares(model: TaskModel, inputs: Sequence[Encoded]) -> Tensor:
    """Return the mean of a model's class probabilities for some inputs, [C]."""
    was_training = model.training
    model.eval()
    scores: Tensor = model(model.collate(inputs))
    model.train(was_training)
    return scores.float().softmax(-1).mean(0)


def calibrated(scores: Tensor, prior: Tensor, rule: Rule) -> Tensor:
    """Return class scores corrected by the probabilities without content.

    Args:
        scores: logits of the classes, [B, C].
        prior: probabilities, [C].
        rule: as in `CalibratedPrompt`.
    """
    if rule == "pmi":
        return scores.float().log_softmax(-1) - prior.log()
    return scores.float().softmax(-1) / prior


def content_free(task: Task, rule: Rule) -> list[Example]:
    """Return inputs without content: a text in the place of each of their own, and no options."""
    count = 1 if task.format == "single" else 2
    return [Example(f"content-free {text}", (text,) * count) for text in CONTENT_FREE[rule]]
