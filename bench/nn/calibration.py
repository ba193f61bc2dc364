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
from fewbench.nn.kinds import prompt_model
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example, Json, Task

Rule = Literal["contextual", "pmi"]

CONTENT_FREE: dict[str, tuple[str, ...]] = {"contextual": ("N/A", "", "[MASK]"), "pmi": ("",)}
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
        self.prompt = prompt_model(backbone, task)
        self.register_buffer("prior", self._content_free())

    @torch.no_grad()
    def _content_free(self) -> Tensor:
        """Return the mean of the probabilities for inputs without content, [C]."""
        examples = [empty_example(self.task, text) for text in CONTENT_FREE[self.rule]]
        was_training = self.prompt.training
        self.prompt.eval()
        scores: Tensor = self.prompt(self.collate(self.prompt._encode_new(examples)))
        self.prompt.train(was_training)
        return scores.float().softmax(-1).mean(0)

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
        prior = [round(share, 6) for share in self.prior.tolist()]
        return self.prompt.describe() | {"content_free": prior}

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        return self.prompt._encode_new(examples)


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


def empty_example(task: Task, text: str) -> Example:
    """Return an input without content: a text in the place of each of its own, and no options."""
    texts = (text,) if task.format == "single" else (text, text)
    return Example(f"content-free {text}", texts)
