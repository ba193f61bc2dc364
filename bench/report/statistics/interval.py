"""The interval of a mean over split seeds."""

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
