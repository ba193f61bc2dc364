"""The interval of a mean over split seeds, and whether it is above a floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev


def interval(scores: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the bounds at 95 % of a mean over seeds, by Student's t.

    Both are None for a single score, or for equal ones: a method that does not vary says nothing
    of other seeds.
    """
    if len(scores) < 2 or stdev(scores) < 1e-12:
        return None, None
    margin = _factor(len(scores)) * stdev(scores) / math.sqrt(len(scores))
    return fmean(scores) - margin, fmean(scores) + margin


@cache
def _factor(n: int) -> float:
    from scipy.stats import t

    return float(t.isf(0.025, n - 1))


def p_above(scores: Sequence[float], floor: float) -> float:
    """Return the p of Student's one-sided t-test that a mean over seeds is not above a floor.

    Args:
        scores: two or more, not all equal.
        floor: on their scale.
    """
    from scipy.special import stdtr  # scipy.stats checks a sample for longer than it tests it

    error = stdev(scores) / math.sqrt(len(scores))
    return float(stdtr(len(scores) - 1, (floor - fmean(scores)) / error))
