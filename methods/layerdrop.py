"""LayerDrop: fine-tuning with layers left out at random, and every other layer pruned at the end.

Fan et al., 2020, in thesis, section 3.3.2 and Table 3.1. In each forward pass of training every
layer is left out with the chance `drop`, independently. The layers d = 1 to L of the tested model
are those with d not divisible by floor(1 / drop) ("every other": 1, 3, 5 … for 0.5), and nothing is
scaled. Checkpoints are chosen by the pruned model's dev score.

Departs from the paper: layers are left out in fine-tuning alone, as the pretrained model is given;
a pass that would leave out all layers is drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.classifier import HeadModel
from fewbench.nn.families import Layer
from fewbench.nn.fit_context import FitContext
from fewbench.nn.prune import check_kept, truncate
from fewbench.types import Count, Positive, Predictor, Share, Split, Task

PAPER = "Fan et al., 2020; thesis section 3.3.2"
NEEDS = ("student",)
SEARCH = ("lr", "batch_size")


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    lr: Positive = 2e-5,
    batch_size: Count = 32,
    drop: Share = 0.5,
) -> Predictor:
    """Train with layers left out at random, and keep every other one."""
    model = HeadModel(kit.backbone("student"), task)
    layers = len(model.backbone.layers)
    kept = every_other(layers, drop)
    draws = LayerDraws(drop, kit.seed)
    with random_layers(model.backbone, draws, kept):
        kit.train(model, lr=lr, batch_size=batch_size, carries=[draws])
    truncate(model.backbone, kept)
    kit.notes["layers"] = {"of": layers, "kept": [number + 1 for number in kept]}
    return model


def every_other(layers: int, drop: float) -> list[int]:
    """Return the numbers, from 0, of the layers d with d not divisible by floor(1 / drop)."""
    step = int(1 / drop)
    return [depth - 1 for depth in range(1, layers + 1) if depth % step]


class LayerDraws:
    """Draws the layers of each pass: each stays with the chance 1 - drop, and at least one does."""

    def __init__(self, drop: float, seed: int) -> None:
        self._drop = drop
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self, layers: int) -> list[int]:
        """Return the numbers of the layers that stay."""
        while True:
            stays = torch.rand(layers, generator=self._generator) >= self._drop
            if stays.any():
                return torch.nonzero(stays)[:, 0].tolist()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of the draws."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state_dict` returned."""
        self._generator.set_state(state["generator"])


@contextmanager
def random_layers(backbone: Backbone, draws: LayerDraws, kept: Sequence[int]) -> Iterator[None]:
    """Run a random choice of layers inside the block while the model trains, `kept` otherwise."""
    family = backbone._family

    def layers(model: Any) -> list[Layer]:
        every = family.layers(model)
        chosen = kept if not backbone.training else draws.draw(len(every))
        return [every[number] for number in chosen]

    backbone._family = family._replace(layers=layers)
    try:
        yield
    finally:
        backbone._family = family


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse a share that prunes no layer or all, and a model whose layers cannot be chosen."""
    drop, layers = settings["drop"], len(student.layers)
    if not 1 / layers <= drop <= 0.5:
        raise BenchError(
            f"layerdrop: drop is {drop}, and the model has {layers} layers",
            allowed=f"{1 / layers:.3g} to 0.5",
            fix="drop=0.5",
        )
    check_kept(student.model, every_other(layers, drop))
