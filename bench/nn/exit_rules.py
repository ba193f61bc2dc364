"""When an example may leave a model that has a classifier after every layer: small rules over the
answers so far.

A rule is given the answers of the layers run so far, the last one last, and says which examples
leave now. It keeps no state, so the same rule serves a model that stops and a table of all layers'
answers.

Axes: L layers, B examples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.types import Task


class Rule(Protocol):
    """Says which examples leave."""

    def may_leave(self, answers: Sequence[Tensor]) -> bool:
        """Return whether some example could leave by the next layer, by the answers of the layers
        before it.
        """
        ...

    def __call__(self, answers: Sequence[Tensor]) -> Tensor:
        """Return true [B] for those that leave, by their answers after each layer: probabilities
        [B, C] or values [B].

        The last layer needs no rule: whoever is left leaves there.
        """
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Leave when the prediction stayed the same `t` times in a row; thesis, eq. 3.2 and 3.3
    (PABEE).

    The counter of eq. 3.2 reaches t for the first time where the last t + 1 predictions agree, each
    with the one before. So t = 0 leaves at the first layer, and from t = L - 1 on all layers are
    run: t = L - 1 is fulfilled at the last layer at best, t = L never. (The reference
    implementation takes 0 to mean all layers.)

    For regression two values agree when they differ by less than `tau`, in the units of the labels.
    Eq. 3.3 has no absolute value, by which any fall would count as unchanged; the reference
    implementation takes it, and so does this.
    """

    t: int
    tau: float = 0.1

    def may_leave(self, answers: Sequence[Tensor]) -> bool:
        """Return whether some counter is at t - 1, or above: an example leaves one step after that
        at the soonest.
        """
        if self.t == 0:
            return True
        return len(answers) >= self.t and bool(Patience(self.t - 1, self.tau)(answers).any())

    def __call__(self, answers: Sequence[Tensor]) -> Tensor:
        """Return true [B] where the counter is at t."""
        if len(answers) <= self.t:
            return torch.zeros_like(answers[-1].view(len(answers[-1]), -1)[:, 0], dtype=torch.bool)
        steady = torch.ones_like(answers[-1].view(len(answers[-1]), -1)[:, 0], dtype=torch.bool)
        for before, after in pairwise(answers[len(answers) - self.t - 1 :]):
            steady &= self._agree(before, after)
        return steady

    def _agree(self, before: Tensor, after: Tensor) -> Tensor:
        if before.ndim == 1:
            return (after - before).abs() < self.tau
        return before.argmax(-1) == after.argmax(-1)


@dataclass(frozen=True, slots=True)
class Entropy:
    """Leave when the entropy of the prediction, in nats, is below a threshold; BranchyNet (thesis
    3.3.2).
    """

    threshold: float

    def may_leave(self, answers: Sequence[Tensor]) -> bool:
        """Return true: what went before does not matter."""
        return True

    def __call__(self, answers: Sequence[Tensor]) -> Tensor:
        """Return true [B] where the last layer run is certain enough."""
        entropy: Tensor = torch.special.entr(answers[-1]).sum(-1)
        return entropy < self.threshold


@dataclass(frozen=True, slots=True)
class Confidence:
    """Leave when the largest probability is at least a threshold; Shallow-Deep (thesis 3.3.2,
    Figure 3.1a).
    """

    threshold: float

    def may_leave(self, answers: Sequence[Tensor]) -> bool:
        """Return true: what went before does not matter."""
        return True

    def __call__(self, answers: Sequence[Tensor]) -> Tensor:
        """Return true [B] where the last layer run is confident enough."""
        return answers[-1].amax(-1) >= self.threshold


@dataclass(frozen=True, slots=True)
class Depth:
    """Leave after a fixed number of layers, whatever the predictions."""

    layers: int

    def may_leave(self, answers: Sequence[Tensor]) -> bool:
        """Return whether the next layer is the one."""
        return len(answers) + 1 >= self.layers

    def __call__(self, answers: Sequence[Tensor]) -> Tensor:
        """Return true [B] once that many layers are run."""
        return torch.full(
            (len(answers[-1]),), len(answers) >= self.layers, device=answers[-1].device
        )


STEPS = tuple(step / 10 for step in range(1, 10))
"""Where thresholds are tried, as shares of the way from certainty to a uniform distribution."""

RULES = {
    "patience": "patience",
    "entropy": "threshold",
    "confidence": "threshold",
    "depth": "depth",
}
"""Rules by name, and which setting each one takes."""


def rules_to_try(
    task: Task,
    layers: int,
    rule: str,
    *,
    patience: int | None = None,
    threshold: float | None = None,
    depth: int | None = None,
    tau: float = 0.1,
) -> list[Rule]:
    """Return the one rule whose setting is given, or all that are worth trying: a grid of
    thresholds, every depth.

    Args:
        task: its classes bound the thresholds.
        layers: of the model, L.
        rule: one of `RULES`.
        patience: 0 to L.
        threshold: of the entropy in nats, or of the largest probability.
        depth: 1 to L.
        tau: see `Patience`.

    Raises:
        BenchError: no such rule, a setting of another rule, one out of range, or a threshold for a
            regression.
    """
    if rule not in RULES:
        raise BenchError(
            f"no such exit rule: '{rule}'", allowed=RULES, given=rule, fix="rule=patience"
        )
    given = {"patience": patience, "threshold": threshold, "depth": depth}
    for name, value in given.items():
        if value is not None and name != RULES[rule]:
            raise BenchError(
                f"the rule '{rule}' takes no {name}",
                fix=f"leave out {name}={value}, or another rule",
            )
    if RULES[rule] == "threshold" and task.is_regression:
        raise BenchError(
            f"{task.full_name} is a regression: its values have no {rule} to exit by (thesis Table 3.1)",
            allowed="rule=patience, rule=depth",
        )
    if threshold is not None and not isinstance(threshold, (int, float)):
        raise BenchError(
            f"threshold={threshold!r} is no number",
            fix="threshold=0.5, or leave it out to choose it on dev",
        )
    _expect("patience", patience, 0, layers, layers)
    _expect("depth", depth, 1, layers, layers)
    if rule == "patience":
        return [Patience(t, tau) for t in (range(layers + 1) if patience is None else [patience])]
    if rule == "depth":
        return [Depth(layer) for layer in (range(1, layers + 1) if depth is None else [depth])]
    classes = len(task.labels)
    if rule == "entropy":
        grid = [round(step * math.log(classes), 6) for step in STEPS]
        return [Entropy(value) for value in (grid if threshold is None else [threshold])]
    grid = [round(1 - step * (1 - 1 / classes), 6) for step in STEPS]
    return [Confidence(value) for value in (grid if threshold is None else [threshold])]


def _expect(name: str, value: int | None, least: int, most: int, layers: int) -> None:
    if value is None or (type(value) is int and least <= value <= most):
        return
    raise BenchError(
        f"{name}={value}, and the model has {layers} layers",
        allowed=f"a whole number from {least} to {most}",
        fix=f"{name}={most if type(value) is int and value > most else least}, or leave it out to choose it on dev",
    )


def exit_layers(rule: Rule, answers: Tensor) -> Tensor:
    """Return the layer each example leaves by, [B] from 1 to L, for the answers of all layers, [L,
    B, C] or [L, B].
    """
    deepest = len(answers)
    leaves = torch.stack([rule(list(answers[: layer + 1])) for layer in range(deepest)])
    leaves[-1] = True
    return leaves.int().argmax(0) + 1


def at_exits(answers: Tensor, layers: Tensor) -> Tensor:
    """Return each example's answer at its layer, [B, C] or [B], of those of all layers, [L, B, C]
    or [L, B].
    """
    return answers[layers.long() - 1, torch.arange(len(layers), device=answers.device)]


def summary(exits: Tensor, layers: int) -> dict[str, object]:
    """Return how many examples left by each layer, and what that saves.

    `speed_up` is the thesis's ratio, all layers over the mean of those run; `saving` is what the
    reference implementation prints under that name, the share of layers not run.

    Args:
        exits: the layer each example left by, [n] from 1 to `layers`.
        layers: of the model, L.
    """
    counts = torch.bincount(exits.long(), minlength=layers + 1)[1:].tolist()
    mean = float(exits.double().mean())
    return {
        "layers": layers,
        "left_by": counts,
        "mean_layers": mean,
        "speed_up": layers / mean,
        "saving": 1 - mean / layers,
    }
