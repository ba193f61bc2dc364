"""A difference of two methods over tasks, seeds and items: its interval, and the p that decides.

A cluster holds the rows that are not independent of each other: one task by several K, templates or
protocols. Its rows are averaged first and the clusters then, so a task weighs the same whichever K
it was run with. Seeds and items are crossed, and both are drawn for all rows of a cluster together
(decision 014).

Axes: S seeds, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fewbench.report.statistics.distributions import t_limit, t_upper
from fewbench.report.statistics.resample import p_value
from fewbench.report.statistics.sums import Floats

LEVEL = 0.05


class Paired(NamedTuple):
    """Two methods in one row.

    `differences` [S] are those of the scores by seed. `resampled` and `null` [B] are the difference
    of mean scores on resampled items, and with answers swapped item by item; None where items are
    not known. `fixed` says that neither method's answers vary over seeds, so that all seeds are one
    pair of runs.
    """

    seeds: tuple[int, ...]
    differences: Floats
    resampled: Floats | None = None
    null: Floats | None = None
    fixed: bool = False

    @property
    def difference(self) -> float:
        """The mean over seeds."""
        return float(self.differences.mean())


Cluster = Sequence[Paired]


class Part(NamedTuple):
    """One source of chance: the variance it adds to a difference, with its degrees of freedom."""

    variance: float
    freedom: float


class Estimate(NamedTuple):
    """A difference, its interval, and p.

    `p` is the larger of two: over items alone, and over seeds and items.
    """

    difference: float
    low: float
    high: float
    p: float


def estimate(clusters: Sequence[Cluster], p_items: float | None = None) -> Estimate:
    """Estimate the mean difference over clusters, its interval over seeds and items, and p.

    With one seed of methods that may vary, nothing is known of other seeds: bounds and p are nan.

    Args:
        clusters: of one row or more each.
        p_items: the exact p over items, if there is one; else it is drawn from the rows' `null`.
    """
    rows: list[Paired] = []
    shares: list[float] = []
    parts: list[Part] = []
    for cluster in clusters:
        rows += cluster
        shares += [1 / (len(clusters) * len(cluster))] * len(cluster)
        for variance, freedom in _parts(cluster):
            parts.append(Part(variance / len(clusters) ** 2, freedom))
    difference = sum(share * row.difference for share, row in zip(shares, rows, strict=True))
    margin, p = _t_test(difference, parts)
    if p_items is None:
        p_items = _permutation_p(rows, shares, difference)
    if p_items is not None and not math.isnan(p):
        p = max(p, p_items)
    return Estimate(difference, difference - margin, difference + margin, p)


def _permutation_p(
    rows: Sequence[Paired], shares: Sequence[float], difference: float
) -> float | None:
    """Return the p over items of a weighted mean of rows; None if a row has no items."""
    nulls = [row.null for row in rows if row.null is not None]
    if len(nulls) < len(rows):
        return None
    null = sum(share * drawn for share, drawn in zip(shares, nulls, strict=True))
    return p_value(np.asarray(null), difference)


def pairs_of_runs(clusters: Sequence[Cluster]) -> int:
    """Count the independent pairs of runs: the seeds of each task, however many K it has."""
    return sum(_seeds_of(rows) for rows in clusters)


def least_seeds(clusters: Sequence[Cluster]) -> int:
    """Count the seeds of the row with the fewest; rows that do not vary count as one."""
    varying = [len(row.seeds) for rows in clusters for row in rows if not row.fixed]
    return min(varying, default=1)


def _seeds_of(rows: Cluster) -> int:
    varying = {seed for row in rows if not row.fixed for seed in row.seeds}
    return max(len(varying), 1)


def _parts(rows: Cluster) -> Iterator[Part]:
    """Yield the sources of chance in the mean of a cluster's rows."""
    drawn = [row.resampled for row in rows if row.resampled is not None]
    if drawn:
        yield Part(float((np.sum(drawn, 0) / len(rows)).var()), math.inf)
    varying = [row for row in rows if not row.fixed]
    if varying:
        yield Part(_seed_variance(varying, len(rows)), least_seeds([rows]) - 1)


def _seed_variance(varying: Cluster, rows: int) -> float:
    """Return the variance over seeds of the mean of `rows` rows.

    The deviation of one seed is summed over all rows before it is squared: with the same seed the
    examples of a smaller K are among those of a larger one. For a single row it is the variance of
    S scores (ddof 1) over S.
    """
    added: dict[int, float] = {}
    for row in varying:
        count = len(row.seeds)
        if count < 2:
            return math.nan
        scale = math.sqrt(count / (count - 1)) / (count * rows)
        deviations = row.differences - row.difference
        for seed, deviation in zip(row.seeds, deviations, strict=True):
            added[seed] = added.get(seed, 0.0) + scale * float(deviation)
    return sum(value**2 for value in added.values())


def _t_test(difference: float, parts: Sequence[Part]) -> tuple[float, float]:
    """Return half the width of the interval, and p, by Student's t.

    Its degrees of freedom are Satterthwaite's (1946). Where nothing varies there is no t: p is then
    the chance that all seeds lie on one side.
    """
    variance = sum(part.variance for part in parts)
    if math.isnan(variance):
        return math.nan, math.nan
    if variance < 1e-24:
        least = min((part.freedom for part in parts), default=0.0)
        return 0.0, 1.0 if abs(difference) < 1e-12 else 2.0**-least
    shares = sum(part.variance**2 / part.freedom for part in parts)
    freedom = variance**2 / shares if shares else math.inf
    error = math.sqrt(variance)
    p = 2 * t_upper(abs(difference) / error, freedom)
    return t_limit(LEVEL / 2, freedom) * error, p
