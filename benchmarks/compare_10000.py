"""The statistics of `bench compare` on one task: 10,000 items, five seeds, 5,000 resamples and
5,000 permutations.

The other side scores a few resamples one by one by the metric's own function: multiply its seconds
up.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
from measure import Seconds, interleave

from fewbench.data.metrics import METRICS, Metric
from fewbench.report.statistics.resample import Items, bootstrap, permuted
from fewbench.report.statistics.sums import SUMMED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--items", type=int, default=10_000, help="test items (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="split seeds (default: %(default)s)")
    parser.add_argument(
        "--resamples", type=int, default=5000, help="of each kind (default: %(default)s)"
    )
    parser.add_argument(
        "--looped", type=int, default=20, help="resamples of the loop (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="measured rounds of each (default: %(default)s)"
    )
    given = parser.parse_args()
    for name in ("accuracy", "mcc", "pearson"):
        gold, first, second = answers(name, given.items, given.seeds)
        features, value = SUMMED[name]
        sides = [np.stack([features(gold, one, 2) for one in side]) for side in (first, second)]
        items = Items(*sides, value)

        print(f"{name}, {given.items} items, {given.seeds} seeds")
        sums = partial(by_sums, items, given.resamples)
        loop = partial(by_loop, METRICS[name], gold, first, second, given.looped)
        interleave(
            {
                f"{given.resamples} resamples and as many permutations": partial(Seconds.of, sums),
                f"{given.looped} resamples in a loop": partial(Seconds.of, loop),
            },
            given.rounds,
        )


def by_sums(items: Items, resamples: int) -> None:
    """Draw what a comparison draws."""
    rng = np.random.default_rng(0)
    bootstrap([items], resamples, rng)
    permuted([items], resamples, rng)


def by_loop(
    metric: Metric, gold: np.ndarray, first: np.ndarray, second: np.ndarray, resamples: int
) -> None:
    """Score each resample of the items by the metric's own function."""
    rng = np.random.default_rng(0)
    for _ in range(resamples):
        rows = rng.integers(len(gold), size=len(gold))
        for one, other in zip(first, second, strict=True):
            metric(gold[rows], one[rows])
            metric(gold[rows], other[rows])


def answers(name: str, items: int, seeds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return gold labels [n] and two methods' answers [S, n]."""
    rng = np.random.default_rng(0)
    if name == "pearson":
        gold = rng.uniform(0, 5, items)
        return gold, *(gold + rng.normal(0, scale, (seeds, items)) for scale in (1, 2))
    gold = rng.integers(2, size=items)
    return gold, *(
        np.where(rng.random((seeds, items)) < right, gold, 1 - gold) for right in (0.8, 0.75)
    )


if __name__ == "__main__":
    main()
