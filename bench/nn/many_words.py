"""Prompt models whose label words are found by search: summed (AMuLaP), or averaged (PETAL).

thesis, section 6.3.1; Schick et al., 2020. Axes: B batch, C classes, n examples, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, by_length
from fewbench.nn.kinds import prompt_model
from fewbench.nn.prompt import PromptModel
from fewbench.nn.task_model import TOKENS_A_BATCH, TaskModel
from fewbench.nn.verbalizer import SumVerbalizer, Verbalizer
from fewbench.types import Example, Json, Task

if TYPE_CHECKING:
    from typing_extensions import Self

SHOWN = 32
"""Label words of each class that a record lists, beside their total number."""


class ManyWordsModel(PromptModel):
    """Answers by the summed probabilities of each class's label words (equation 6.2).

    `use` sets the label words; the task's own are ignored.
    """

    def __init__(self, backbone: Backbone, task: Task) -> None:
        # PromptModel's own would look the task's label words up in the tokenizer.
        TaskModel.__init__(self, backbone, task)
        self._reader = (prompt_model(backbone, replace(task, words=())),)  # no module of its own

    def use(self, words: tuple[tuple[int, ...], ...]) -> None:
        """Set the label words: token ids, class by class."""
        self.words = words
        self.verbalizer = SumVerbalizer(words).to(self.backbone.device)

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        return self._reader[0]._encode_new(examples)

    def blueprint(self) -> Json:
        """Return the label words, as token ids."""
        return {"words": self.words}

    @classmethod
    def rebuild(  # type: ignore[override]
        cls, backbone: Backbone, task: Task, *, words: Sequence[Sequence[int]]
    ) -> Self:
        """Return a model with these label words."""
        model = cls(backbone, task)
        model.use(tuple(tuple(ids) for ids in words))
        return model

    @torch.no_grad()
    def distributions(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Return the probabilities of all tokens at the mask, [n, V], in one forward pass."""
        encoded = self.encode([example.without_label() for example in examples])
        rows = np.empty((len(encoded), len(self.backbone.tokenizer)), np.float32)
        self.eval()
        for indices in by_length(encoded, TOKENS_A_BATCH):
            scores = self.backbone.vocabulary_scores(self.collate([encoded[i] for i in indices]))
            rows[indices] = scores.float().softmax(-1)[:, : rows.shape[1]].cpu().numpy()
        return rows

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean of -log of the label's summed probability (equation 6.3).

        Probabilities are over the whole vocabulary.
        """
        scores = self.backbone.vocabulary_scores(batch)
        sums = self.verbalizer(scores[:, self.verbalizer.words])
        return F.nll_loss(sums - scores.logsumexp(-1, keepdim=True), batch.labels)

    def describe(self) -> Json:
        """Return inputs cut, the template, and each class's likeliest label words as tokens."""
        tokenizer = self.backbone.tokenizer
        tokens = [tokenizer.convert_ids_to_tokens(list(ids[:SHOWN])) for ids in self.words]
        return TaskModel.describe(self) | {
            "template": self.task.template,
            "label_words": dict(zip(self.task.labels, tokens, strict=True)),
            "words_a_class": [len(ids) for ids in self.words],
        }


class MeanWordsModel(ManyWordsModel):
    """Answers by the mean score (logit) of each class's label words, as PET does.

    A single word a class is a prompt as LM-BFF has it.
    """

    def use(self, words: tuple[tuple[int, ...], ...]) -> None:
        """Set the label words: token ids, class by class."""
        self.words = words
        self.verbalizer = Verbalizer(words).to(self.backbone.device)

    def loss(self, batch: Batch) -> Tensor:
        """Return the cross-entropy of the softmax over class scores."""
        return PromptModel.loss(self, batch)
