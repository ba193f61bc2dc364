"""Ranks of methods over tasks.

Demšar, 2006, "Statistical comparisons of classifiers over multiple data sets".
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, pow
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewbench.report.statistics.crossed import LEVEL
from fewbench.report.statistics.distributions import f_upper, range_limit, row_ranks


class Ranking(NamedTuple):
    """Methods by average rank over N tasks, 1 the best.

    `friedman` is the p that all rank alike (Iman and Davenport's F, Demšar section 3.2.2);
    `critical` the least difference of two average ranks that is significant by Nemenyi's test at
    0.05; `groups` the largest runs of methods, as places in `methods`, without such a difference:
    all of them unless `friedman` is below 0.05, for only then is there a second test.
    """

    methods: tuple[str, ...]
    ranks: tuple[float, ...]
    tasks: int
    friedman: float
    critical: float
    groups: tuple[tuple[int, int], ...]


def rank(methods: Sequence[str], scores: NDArray[np.float64]) -> Ranking:
    """Rank k methods by their scores on N tasks, higher better.

    Equal scores share the mean of their ranks.

    Args:
        methods: k names, at least two.
        scores: [N, k].
    """
    averages = row_ranks(-scores).mean(0)
    order = np.argsort(averages, kind="stable")
    ranked = [float(averages[place]) for place in order]
    critical = critical_difference(len(methods), len(scores))
    p = friedman(scores)
    names = tuple(methods[place] for place in order)
    alike = groups(ranked, critical) if p < LEVEL else ((0, len(names) - 1),)
    return Ranking(names, tuple(ranked), len(scores), p, critical, alike)


def critical_difference(k: int, n: int, alpha: float = LEVEL) -> float:
    """Return Nemenyi's critical difference, q sqrt(k (k + 1) / 6N).

    q is the Studentised range over sqrt 2.
    """
    q = range_limit(alpha, k) / np.sqrt(2)
    return float(q * np.sqrt(k * (k + 1) / (6 * n)))


def fewest_tasks(k: int) -> int:
    """Return the fewest tasks on which ranks of k methods can differ by both tests."""
    return next(
        n for n in range(2, 100) if critical_difference(k, n) < k - 1 and _least_p(k, n) < LEVEL
    )


def friedman(scores: NDArray[np.float64]) -> float:
    """Return the p of Iman and Davenport's F that k methods rank alike on N tasks.

    With a single task it is 1. F grows without bound as tasks agree, also with two tasks; so p is
    never below k!^(1-N), the chance that methods which rank alike come in one order on all tasks.
    """
    n, k = scores.shape
    squares = float((row_ranks(-scores).mean(0) ** 2).sum())
    chi = 12 * n / (k * (k + 1)) * (squares - k * (k + 1) ** 2 / 4)
    if n < 2:
        return 1.0
    rest = n * (k - 1) - chi
    p = 0.0
    if rest > 1e-12:
        statistic = (n - 1) * chi / rest
        p = f_upper(statistic, k - 1, (k - 1) * (n - 1))
    return max(p, _least_p(k, n))


def _least_p(k: int, n: int) -> float:
    return pow(factorial(k), 1 - n)


def groups(ranks: Sequence[float], critical: float) -> tuple[tuple[int, int], ...]:
    """Return the largest runs (first, last) of sorted ranks within the critical difference."""
    runs: list[tuple[int, int]] = []
    last_end = 0
    for start, lowest in enumerate(ranks):
        end = max(place for place, rank in enumerate(ranks) if rank - lowest < critical)
        if end > max(start, last_end):  # else it lies within the run before it
            runs.append((start, end))
            last_end = end
    return tuple(runs)
