"""Rules by which an example leaves a model that has a classifier after every layer.

A rule is given the answers of the layers run so far, the last one last, and says which examples
leave now. It keeps no state, so the same rule serves a model that stops and a table of all layers'
answers.

Axes: L layers, B examples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.types import Json, Task


class Rule(Protocol):
    """Says which examples leave."""

    def may_leave(self, answers: Sequence[Tensor]) -> bool:
        """True if some example could leave by the next layer, by the answers so far."""
        ...

    def __call__(self, answers: Sequence[Tensor]) -> Tensor:
        """Return True [B] for examples that leave, by their answers of each layer.

        The last layer needs no rule: whoever is left leaves there.
        """
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Leave when the prediction has stayed the same `t` times; thesis, eq. 3.2 and 3.3 (PABEE).

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
        """True if some counter is t - 1 or more: an example may leave one step later."""
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
    """Leave when the prediction's entropy (nats) is below a bound; BranchyNet (thesis 3.3.2)."""

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
    """Leave when the largest probability reaches a threshold; Shallow-Deep (thesis 3.3.2)."""

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
        """True if the next layer is the fixed one."""
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
    """List the rules to try: the one whose setting is given, or a grid of thresholds or depths.

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
    _check_rule(task, rule, {"patience": patience, "threshold": threshold, "depth": depth})
    _expect("patience", patience, 0, layers, layers)
    _expect("depth", depth, 1, layers, layers)
    if rule == "patience":
        patiences = range(layers + 1) if patience is None else [patience]
        return [Patience(t, tau) for t in patiences]
    if rule == "depth":
        depths = range(1, layers + 1) if depth is None else [depth]
        return [Depth(layer) for layer in depths]
    kind = Entropy if rule == "entropy" else Confidence
    thresholds = _thresholds(rule, len(task.labels)) if threshold is None else [threshold]
    return [kind(value) for value in thresholds]


def _thresholds(rule: str, classes: int) -> list[float]:
    """List thresholds in equal steps between the values of a certain and of a random prediction."""
    if rule == "entropy":
        return [round(step * math.log(classes), 6) for step in STEPS]
    return [round(1 - step * (1 - 1 / classes), 6) for step in STEPS]


def _check_rule(task: Task, rule: str, settings: Mapping[str, float | None]) -> None:
    """Refuse a rule that does not exist or does not fit the task, and settings of other rules."""
    if rule not in RULES:
        raise BenchError(
            f"no such exit rule: '{rule}'", allowed=RULES, given=rule, fix="rule=patience"
        )
    for name, value in settings.items():
        if value is not None and name != RULES[rule]:
            raise BenchError(
                f"the rule '{rule}' takes no {name}",
                fix=f"leave out {name}={value}, or another rule",
            )
    if RULES[rule] == "threshold" and task.is_regression:
        raise BenchError(
            f"{task.full_name} is a regression: its values have no {rule} to exit by "
            "(thesis Table 3.1)",
            allowed="rule=patience, rule=depth",
        )
    threshold = settings["threshold"]
    if threshold is not None and not isinstance(threshold, (int, float)):
        raise BenchError(
            f"threshold={threshold!r} is no number",
            fix="threshold=0.5, or leave it out to choose it on dev",
        )


def _expect(name: str, value: int | None, least: int, most: int, layers: int) -> None:
    if value is None or (type(value) is int and least <= value <= most):
        return
    nearest = most if type(value) is int and value > most else least
    raise BenchError(
        f"{name}={value}, and the model has {layers} layers",
        allowed=f"a whole number from {least} to {most}",
        fix=f"{name}={nearest}, or leave it out to choose it on dev",
    )


@dataclass(frozen=True, slots=True)
class SpeedUps:
    """A range of speed-ups that a rule is chosen within: all layers over the mean of those run.

    None leaves an end open.
    """

    least: float | None = None
    most: float | None = None

    def distance(self, speed_up: float) -> float:
        """Return the distance of a speed-up from the range; 0 inside."""
        least = speed_up if self.least is None else self.least
        most = speed_up if self.most is None else self.most
        return max(least - speed_up, speed_up - most, 0.0)

    def check(self) -> None:
        """Refuse a range without anything inside.

        Raises:
            BenchError: its least value is above its largest.
        """
        if self.least is not None and self.most is not None and self.least > self.most:
            raise BenchError(
                f"min_speed_up={self.least} is above max_speed_up={self.most}",
                fix=f"min_speed_up={self.most},max_speed_up={self.least}",
            )


def exit_layers(rule: Rule, answers: Tensor) -> Tensor:
    """Find each example's exit layer, [B] from 1 to L, from answers [L, B, C] or [L, B]."""
    deepest = len(answers)
    leaves = torch.stack([rule(list(answers[: layer + 1])) for layer in range(deepest)])
    leaves[-1] = True
    return leaves.int().argmax(0) + 1


def at_exits(answers: Tensor, layers: Tensor) -> Tensor:
    """Pick each example's answer at its layer, [B, C] or [B], from [L, B, C] or [L, B]."""
    return answers[layers.long() - 1, torch.arange(len(layers), device=answers.device)]


def summary(exits: Tensor, layers: int) -> Json:
    """Count the examples that leave by each layer, and the layers that this saves.

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
