"""Small tests on paired outcomes: McNemar, Holm's correction, Hedges' g, win/tie/loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewbench.report.statistics.distributions import fair_coin


class Tally(NamedTuple):
    """Counts of wins, ties and losses of the first against the second."""

    win: int
    tie: int
    loss: int

    def __str__(self) -> str:
        return f"{self.win}/{self.tie}/{self.loss}"


def tally(differences: Sequence[float]) -> Tally:
    """Count differences above, at and below 0 (to within rounding)."""
    wins = sum(bool(difference > 1e-12) for difference in differences)
    losses = sum(bool(difference < -1e-12) for difference in differences)
    return Tally(wins, len(differences) - wins - losses, losses)


def mcnemar(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return McNemar's exact two-sided p that two methods are right equally often.

    McNemar, 1947, on the items that only one of them gets right; the binomial, not the chi-squared
    approximation, whatever the counts.

    Args:
        first: True for each item that the first gets right, [n].
        second: the same for the second, on the same items.
    """
    only_first = int((first & ~second).sum())
    discordant = int((first != second).sum())
    return fair_coin(only_first, discordant)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust p-values for their number by Holm's step-down rule (1979), keeping their order."""
    order = np.argsort(ps, kind="stable")
    steps = np.asarray(ps)[order] * np.arange(len(ps), 0, -1)
    adjusted = np.empty(len(ps))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def hedges(differences: Sequence[float]) -> float | None:
    """Return Hedges' g of paired differences: their mean in standard deviations (ddof 1).

    Hedges, 1981, with the exact factor J, unbiased for small n. None for fewer than three, where J
    is 0, and where all are the same.
    """
    n = len(differences)
    if n < 3:
        return None
    spread = float(np.std(differences, ddof=1))
    if spread < 1e-12:
        return None
    df = n - 1
    factor = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return factor * float(np.mean(differences)) / spread
