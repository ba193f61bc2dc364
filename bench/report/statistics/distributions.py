"""The distributions that tests and intervals need, and ranks.

They are computed by `scipy.special`: to import `scipy.stats` takes longer than to read a thousand
records.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fewbench.report.statistics.sums import Floats

_STEP = 0.05
"""Of the sum that stands for an integral; half of it changes no digit."""

_FAR = 9.0
"""Standard deviations beyond which the normal density adds nothing, 1e-18."""


def t_upper(statistic: float, freedom: float) -> float:
    """Return the chance that Student's t is larger; infinite degrees of freedom are the normal."""
    from scipy.special import ndtr, stdtr

    if math.isinf(freedom):
        return float(ndtr(-statistic))
    return float(stdtr(freedom, -statistic))


def t_limit(share: float, freedom: float) -> float:
    """Return the value that Student's t exceeds with a chance of `share`."""
    from scipy.special import ndtri, stdtrit

    if math.isinf(freedom):
        return -float(ndtri(share))
    return -float(stdtrit(freedom, share))


def f_upper(statistic: float, above: float, below: float) -> float:
    """Return the chance that F, of `above` and `below` degrees of freedom, is larger."""
    from scipy.special import fdtrc

    return float(fdtrc(above, below, statistic))


def fair_coin(heads: int, tosses: int) -> float:
    """Return the exact two-sided p of some heads in tosses of a fair coin."""
    from scipy.special import betainc

    fewer, more = sorted((heads, tosses - heads))
    return 1.0 if fewer == more else min(1.0, 2 * float(betainc(more, fewer + 1, 0.5)))


@lru_cache
def range_limit(share: float, k: int) -> float:
    """Return the value that the range of k standard normals exceeds with a chance of `share`.

    It is the Studentised range with infinite degrees of freedom, found by halving its bracket.
    """
    from scipy.special import ndtr

    largest = np.arange(-_FAR, _FAR + _STEP, _STEP)
    weights = k * _STEP * np.exp(-(largest**2) / 2) / math.sqrt(2 * math.pi)
    below = ndtr(largest)
    low, high = 0.0, 2 * _FAR
    while (middle := (low + high) / 2) not in (low, high):
        within = float(weights @ (below - ndtr(largest - middle)) ** (k - 1))
        low, high = (middle, high) if within < 1 - share else (low, middle)
    return high


def row_ranks(values: NDArray[np.float64]) -> Floats:
    """Rank each row of values, 1 the least; equal values share the mean of their ranks.

    Args:
        values: [N, k].
    """
    smaller = (values[:, None, :] < values[:, :, None]).sum(2)
    equal = (values[:, None, :] == values[:, :, None]).sum(2)
    return np.asarray(smaller + (equal + 1) / 2)
