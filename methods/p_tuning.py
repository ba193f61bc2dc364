"""P-tuning: train prompt vectors through a BiLSTM and an MLP, together with the model.

Liu et al., 2021 ("GPT understands, too"), section 3: the vectors of the own tokens are
h_i = MLP([LSTM forward; LSTM backward]) of trained inputs e_1 .. e_P, equations 5 and 6, and the
model is tuned as well, as in its few-shot systems. `tokens` stand before each text and the mask,
and at the end; the template's words stay between them as anchors. `no-anchors` leaves those out and
has three tokens a place, as on LAMA; `frozen` leaves the model as it is.

Read into the paper: it chooses the number and the places of own tokens task by task; here they are
one rule. The prompt's learning rate is `prompt_rate` times the model's, as in its code (1e-4 to
1e-5), and so are the sizes: two layers of the embeddings' width, and a ReLU between two maps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fewbench.data.template import without_words
from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext
from fewbench.nn.placed_prompt import PlacedPromptModel, Places, around
from fewbench.nn.soft_prompt import behind
from fewbench.types import Count, Positive, Predictor, Split, Task

if TYPE_CHECKING:
    from typing_extensions import Self

PAPER = "Liu et al., 2021 (P-tuning)"
NEEDS = ("student", "words")
SEARCH = ("lr", "batch_size")
PRESETS = {"no-anchors": {"anchors": False, "tokens": 3}, "frozen": {"tune": False}}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    tokens: Count = 1,
    anchors: bool = True,
    tune: bool = True,
    prompt_rate: Positive = 10.0,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Place the own tokens and train their encoder, and the model unless it is frozen."""
    backbone = kit.backbone("student").requires_grad_(tune)
    read, places = _placed(task, tokens, anchors)
    model = EncodedPromptModel(backbone, read, places)
    kit.train(
        model,
        lr=lr,
        batch_size=batch_size,
        rates=[(model.encoder, prompt_rate)],
        whole_vocabulary=not tune,
        carries=(),
    )
    return model


class PromptEncoder(nn.Module):
    """Makes the vectors of P own tokens from trained inputs, [P, E], that read each other."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(tokens, width))
        self.lstm = nn.LSTM(width, width, num_layers=2, bidirectional=True)
        self.mlp = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self) -> Tensor:
        """Return the vectors, [P, E]."""
        states, _ = self.lstm(self.inputs)
        vectors: Tensor = self.mlp(states)
        return vectors


class EncodedPromptModel(PlacedPromptModel):
    """Classifies by label words at the mask of a prompt whose own tokens an encoder makes."""

    def __init__(self, backbone: Backbone, task: Task, places: Places) -> None:
        width = backbone.model.get_input_embeddings().embedding_dim  # type: ignore[operator]
        super().__init__(backbone, task, places, PromptEncoder(places.total, width))

    @property
    def encoder(self) -> nn.Module:
        """The small network that makes the own tokens' vectors."""
        assert self.backbone.prompt is not None
        return self.backbone.prompt

    @classmethod
    def _empty(cls, backbone: Backbone, task: Task, places: Places) -> Self:
        return cls(backbone, task, places)


def _placed(task: Task, tokens: int, anchors: bool) -> tuple[Task, Places]:
    """Return the task as it is read, and the places of its own tokens."""
    if not anchors:
        task = replace(task, template=without_words(task.template))
    return task, around(task.template, tokens, words=anchors)


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse more tokens than the model holds."""
    _, places = _placed(task, settings["tokens"], settings["anchors"])
    behind(student, task, places.total)
