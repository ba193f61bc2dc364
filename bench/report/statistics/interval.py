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
    spread = stdev(scores) if len(scores) > 1 else 0.0
    if spread < 1e-12:
        return None, None
    mean = fmean(scores)
    margin = _factor(len(scores)) * spread / math.sqrt(len(scores))
    return mean - margin, mean + margin


@cache
def _factor(n: int) -> float:
    from fewbench.report.statistics.distributions import t_limit

    return t_limit(0.025, n - 1)
