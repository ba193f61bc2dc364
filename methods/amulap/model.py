"""A prompt read by sets of label words that are found, not given: thesis, section 6.3.1.

Axes: B batch, C classes, n examples, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fewbench.data.template import parse_template
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, by_length
from fewbench.nn.prompt import PromptModel
from fewbench.nn.task_model import TOKENS_A_BATCH, TaskModel
from fewbench.nn.verbalizer import SumVerbalizer
from fewbench.types import Example, Task

if TYPE_CHECKING:
    from typing_extensions import Self

SHOWN = 32
"""Label words of each class that a record lists; how many there are stands beside them."""


class ManyWordsModel(PromptModel):
    """Answers by the summed probabilities of each class's label words (equation 6.2), which `use`
    sets.

    The task's own label words are not looked at.
    """

    def __init__(self, backbone: Backbone, task: Task) -> None:
        TaskModel.__init__(
            self, backbone, task
        )  # a prompt's own would ask the tokenizer for the task's label words
        self.pieces = parse_template(task.template)

    def use(self, words: tuple[tuple[int, ...], ...]) -> None:
        """Set the label words: token ids, class by class."""
        self.words = words
        self.verbalizer = SumVerbalizer(words).to(self.backbone.device)

    def blueprint(self) -> dict[str, Any]:
        """Return the label words, as token ids."""
        return {"words": self.words}

    @classmethod
    def rebuild(cls, backbone: Backbone, task: Task, *, words: Sequence[Sequence[int]]) -> Self:  # type: ignore[override]
        """Return a model with these label words."""
        model = cls(backbone, task)
        model.use(tuple(tuple(ids) for ids in words))
        return model

    @torch.no_grad()
    def distributions(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Return the probabilities of the tokenizer's whole vocabulary at the mask, [n, V], in one
        forward pass.
        """
        encoded = self.encode([example.without_label() for example in examples])
        rows = np.empty((len(encoded), len(self.backbone.tokenizer)), np.float32)
        self.eval()
        for indices in by_length(encoded, TOKENS_A_BATCH):
            scores = self.backbone.vocabulary_scores(self.collate([encoded[i] for i in indices]))
            rows[indices] = scores.float().softmax(-1)[:, : rows.shape[1]].cpu().numpy()
        return rows

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean of -log of the label's summed probability, over the whole vocabulary
        (equation 6.3).
        """
        scores = self.backbone.vocabulary_scores(batch)
        sums = self.verbalizer(scores[:, self.verbalizer.words]) - scores.logsumexp(
            -1, keepdim=True
        )
        return F.nll_loss(sums, batch.labels)

    def describe(self) -> dict[str, object]:
        """Return inputs cut, the template, and each class's label words as tokens, the most
        probable first.
        """
        tokens = [
            self.backbone.tokenizer.convert_ids_to_tokens(list(ids[:SHOWN])) for ids in self.words
        ]
        return TaskModel.describe(self) | {
            "template": self.task.template,
            "label_words": dict(zip(self.task.labels, tokens, strict=True)),
            "words_a_class": [len(ids) for ids in self.words],
        }
