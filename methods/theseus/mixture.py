"""Progressive module replacing (BERT-of-Theseus): a forward pass that mixes old layers with their
successors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Generator

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.families import Layer

Rate = Callable[[int], float]
"""The chance that a successor takes its group's place, by updates done."""


def linear_rate(base: float, k: float) -> Rate:
    """Return min(k t + base, 1) (Xu et al., 2020, eq. 6)."""
    return lambda step: min(k * step + base, 1.0)


def constant_rate(rate: float, steps: int) -> Rate:
    """Return the rate for so many updates, and 1 from then on: the successors are fine-tuned
    together.
    """
    return lambda step: rate if step < steps else 1.0


def replacing_rate(
    schedule: str, base: float, k: float | None, steps: int | None, *, half: int
) -> Rate:
    """Return the rate of a schedule, `linear` or `constant`; what is None is meant to end at `half`
    of the updates.
    """
    if schedule == "constant":
        return constant_rate(base, steps or half)
    return linear_rate(base, (1 - base) / half if k is None else k)


def check_schedule(settings: Mapping[str, Any]) -> None:
    """Refuse settings `schedule`, `base`, `k` and `replacing_steps` that make no sense.

    Raises:
        BenchError: see above.
    """
    if settings["schedule"] not in ("linear", "constant"):
        given = str(settings["schedule"])
        raise BenchError(f"unknown schedule '{given}'", allowed=["linear", "constant"], given=given)
    if not 0 < settings["base"] <= 1:
        raise BenchError(f"base is {settings['base']}", allowed="above 0, up to 1", fix="base=0.3")
    if settings["k"] is not None and settings["k"] < 0:
        raise BenchError(f"k is {settings['k']}", allowed="0 or more")
    if settings["replacing_steps"] is not None and settings["replacing_steps"] < 1:
        raise BenchError(f"replacing_steps is {settings['replacing_steps']}", allowed="1 or more")


def check_count(layers: int | None, backbone: Backbone) -> None:
    """Refuse fewer successors than one, and more than there are layers.

    Raises:
        BenchError: see above.
    """
    count = len(backbone.layers)
    if layers is not None and not 0 < layers <= count:
        raise BenchError(f"layers is {layers}", allowed=f"1 to {count}")


def train_layers_alone(backbone: Backbone) -> None:
    """Let the layers of a frozen model be trained: embeddings and head stay as they are."""
    for layer in backbone.layers:
        for module in layer:
            for parameter in getattr(module, "parameters", tuple)():
                parameter.requires_grad_(True)


def groups(layers: int, successors: int) -> list[range]:
    """Return which layers each successor stands for: consecutive ones, as evenly as possible, the
    longer ones last.
    """
    bounds = [number * layers // successors for number in range(successors + 1)]
    return [range(start, end) for start, end in pairwise(bounds)]


class Mixture:
    """Draws, at each forward pass in training, which groups of old layers give way to their
    successor.

    Args:
        old: the predecessor's layers.
        rate: by passes so far; one pass is one update.
        seed: of the draws.

    Attributes:
        passes: in training, so far.
    """

    def __init__(self, old: Sequence[Layer], rate: Rate, seed: int) -> None:
        self.old, self.rate = list(old), rate
        self.generator = Generator().manual_seed(seed)
        self.passes = 0

    def draw(self, new: Sequence[Layer]) -> list[Layer]:
        """Return the layers of one pass: r_i ~ Bernoulli(rate) for each successor by itself (eq.
        3-4).
        """
        replaced = torch.rand(len(new), generator=self.generator) < self.rate(self.passes)
        self.passes += 1
        mixed: list[Layer] = []
        for layer, group, taken in zip(
            new, groups(len(self.old), len(new)), replaced.tolist(), strict=True
        ):
            mixed += [layer] if taken else [self.old[number] for number in group]
        return mixed


@contextmanager
def replacing(backbone: Backbone, mixture: Mixture) -> Iterator[None]:
    """Run the mixture inside the block while the backbone is in training mode, and its own layers
    otherwise.
    """
    own = backbone._family

    def layers(model: object) -> list[Layer]:
        new = own.layers(model)
        return mixture.draw(new) if backbone.training else new

    backbone._family = own._replace(layers=layers)
    try:
        yield
    finally:
        backbone._family = own
