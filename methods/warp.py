"""WARP: train prompt vectors around the texts and a vector for each class; the model is frozen.

Hambardzumyan, Khachatrian and May, 2021, section 3: p(y|x) is the softmax of v_y . h, h what the
language head makes of the mask's state before its projection to the vocabulary. The start is that
of its few-shot systems (WARP_init): the template's words, each a trained vector of its own, and the
label words' rows of the projection. `mask-start` starts as on GLUE, from `tokens` copies of
the mask before each text and the mask, and at the end, and from random class vectors (deviation
0.02); `no-prompt` is WARP_0, whose class vectors alone are trained.

Departs from the paper: regression is that of prompt-ft, between two class vectors, and its dropout
is the model's own. The learning rates searched are ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.data.template import without_words
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.fit_context import FitContext
from fewbench.nn.placed_prompt import (
    PlacedPromptModel,
    Places,
    PromptVectors,
    around,
    in_place_of_words,
)
from fewbench.nn.soft_prompt import behind
from fewbench.nn.verbalizer import word_ids
from fewbench.types import Count, Json, Natural, Positive, Predictor, Split, Task

if TYPE_CHECKING:
    from typing_extensions import Self

PAPER = "Hambardzumyan, Khachatrian and May, 2021 (WARP)"
NEEDS = ("student", "words")
SEARCH = ("prompt_lr", "batch_size")
GRID = {"prompt_lr": (1e-3, 3e-3, 1e-2, 3e-2)}
PRESETS = {
    "mask-start": {"start": "mask", "classes": "random"},
    "no-prompt": {"start": "mask", "classes": "random", "tokens": 0},
}
DEVIATION = 0.02


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    start: Literal["template", "mask"] = "template",
    classes: Literal["words", "random"] = "words",
    tokens: Natural = 5,
    prompt_lr: Positive = 1e-3,
    batch_size: Count = 8,
) -> Predictor:
    """Place the prompt and train it with the class vectors, alone, by the protocol."""
    backbone = kit.backbone("student")
    read, places, own = _placed(task, backbone, start, tokens)
    embeddings = backbone.model.get_input_embeddings().weight  # type: ignore[operator]
    vectors = class_vectors(backbone, task, classes)
    model = WarpModel(backbone, read, places, embeddings[own], vectors)
    # No word's embedding is trained, so the embeddings need not be cut to the words in use.
    kit.train(model, lr=prompt_lr, batch_size=batch_size, whole_vocabulary=True, carries=())
    return model


class WarpModel(PlacedPromptModel):
    """Scores a class by the product of its vector with the mask's state.

    Args:
        backbone: a masked model; it is frozen.
        task: its template and label words.
        places: of the prompt's vectors.
        prompt: their values at the start, [P, E].
        classes: the class vectors at the start, [C, E]; of a regression, for its two ends.
    """

    def __init__(
        self, backbone: Backbone, task: Task, places: Places, prompt: Tensor, classes: Tensor
    ) -> None:
        backbone.requires_grad_(False)
        super().__init__(backbone, task, places, PromptVectors(prompt))
        self.classes = nn.Parameter(classes.detach().clone().to(backbone.device))

    def forward(self, batch: Batch) -> Tensor:
        """Return class scores (logits), [B, C]."""
        return F.linear(self.backbone.projected(self.backbone.read(batch)), self.classes)

    def describe(self) -> Json:
        """Describe the prompt, and count own tokens and trained parameters."""
        trained = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return super().describe() | {
            "prompt": {"tokens": self.places.total, "trained_parameters": trained}
        }

    @classmethod
    def _empty(cls, backbone: Backbone, task: Task, places: Places) -> Self:
        width = backbone.model.get_input_embeddings().embedding_dim  # type: ignore[operator]
        classes = class_vectors(backbone, task, "words")
        return cls(backbone, task, places, torch.zeros(places.total, width), classes)


def class_vectors(backbone: Backbone, task: Task, start: Literal["words", "random"]) -> Tensor:
    """Return class vectors to start from, [C, E]: the mean of a class's label words, or random."""
    rows = []
    for ids in word_ids(task, backbone.tokenizer):
        words, _ = backbone.word_rows(torch.tensor(ids, device=backbone.device))
        rows.append(words.detach().mean(0))
    vectors = torch.stack(rows)
    return vectors if start == "words" else torch.randn_like(vectors) * DEVIATION


def _placed(
    task: Task, backbone: Backbone, start: str, tokens: int
) -> tuple[Task, Places, list[int]]:
    """Return the task as it is read, the prompt's places, and the tokens it starts from."""
    if start == "template":
        return task, *in_place_of_words(task.template, backbone.tokenizer)
    read = replace(task, template=without_words(task.template))
    places = around(read.template, tokens, words=False)
    return read, places, [backbone.tokenizer.mask_token_id] * places.total


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse more tokens than the model holds."""
    _, places, _ = _placed(task, student, settings["start"], settings["tokens"])
    if places.total:
        behind(student, task, places.total)
