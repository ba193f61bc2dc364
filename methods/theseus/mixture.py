"""Progressive module replacing: a forward pass that mixes old layers with their successors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Generator, Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.families import Layer

SCHEDULES = ("linear", "constant")

Rate = Callable[[int], float]
"""The chance that a successor takes its group's place, by updates done."""


def linear_rate(base: float, k: float) -> Rate:
    """Return min(k t + base, 1) (Xu et al., 2020, eq. 6)."""
    return lambda step: min(k * step + base, 1.0)


def constant_rate(rate: float, steps: int) -> Rate:
    """Return the rate for the first `steps` updates, then 1: all successors are used."""
    return lambda step: rate if step < steps else 1.0


def replacing_rate(
    schedule: str, base: float, k: float | None, steps: int | None, *, half: int
) -> Rate:
    """Return the rate of a schedule, `linear` or `constant`; by default 1 is reached at `half`."""
    if schedule == "constant":
        return constant_rate(base, steps or half)
    return linear_rate(base, (1 - base) / half if k is None else k)


def check_schedule(schedule: str, base: float, k: float | None, steps: int | None) -> None:
    """Refuse an unknown schedule, and settings of one that are out of bounds."""
    if schedule not in SCHEDULES:
        raise BenchError(f"unknown schedule '{schedule}'", allowed=SCHEDULES, given=schedule)
    if not 0 < base <= 1:
        raise BenchError(f"base is {base}", allowed="above 0, up to 1", fix="base=0.3")
    if k is not None and k < 0:
        raise BenchError(f"k is {k}", allowed="0 or more")
    if steps is not None and steps < 1:
        raise BenchError(f"replacing_steps is {steps}", allowed="1 or more")


def check_count(layers: int | None, backbone: Backbone) -> None:
    """Refuse fewer successors than one, or more than there are layers."""
    count = len(backbone.layers)
    if layers is not None and not 0 < layers <= count:
        raise BenchError(f"layers is {layers}", allowed=f"1 to {count}")


def train_layers_alone(backbone: Backbone) -> None:
    """Unfreeze the layers of a frozen model; embeddings and head stay frozen."""
    for layer in backbone.layers:
        for module in layer:
            for parameter in getattr(module, "parameters", tuple)():
                parameter.requires_grad_(True)


def groups(layers: int, successors: int) -> list[range]:
    """Return the consecutive layers of each successor, evenly, the longer groups last."""
    bounds = [number * layers // successors for number in range(successors + 1)]
    return [range(start, end) for start, end in pairwise(bounds)]


class Mixture:
    """Draws, at each forward pass in training, the groups of old layers to replace.

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

    def state_dict(self) -> dict[str, Tensor]:
        """Return the passes so far and the generator of the draws."""
        return {"passes": torch.tensor(self.passes), "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state_dict` returned."""
        self.passes = int(state["passes"])
        self.generator.set_state(state["generator"])

    def draw(self, new: Sequence[Layer]) -> list[Layer]:
        """Return the layers of one pass: r_i ~ Bernoulli(rate) for each successor (eq. 3-4)."""
        replaced = torch.rand(len(new), generator=self.generator) < self.rate(self.passes)
        self.passes += 1
        old = groups(len(self.old), len(new))
        mixed: list[Layer] = []
        for layer, group, taken in zip(new, old, replaced.tolist(), strict=True):
            mixed += [layer] if taken else self.old[group.start : group.stop]
        return mixed


@contextmanager
def replacing(backbone: Backbone, mixture: Mixture) -> Iterator[None]:
    """Run the mixture inside the block while the backbone trains, and its layers otherwise."""
    family = backbone._family

    def layers(model: object) -> list[Layer]:
        new = family.layers(model)
        return mixture.draw(new) if backbone.training else new

    backbone._family = family._replace(layers=layers)
    try:
        yield
    finally:
        backbone._family = family
