"""How often the verdict of `bench compare` is wrong: stores where two methods are alike, and where
one is better.

What an item is worth, what a seed is worth (much the same for all K) and what a method makes of an
item are drawn anew each time, and both methods from the same distributions; `--gain` is added to
the first. The other side is what was done before: all rows independent, the interval by
percentiles, p over items alone.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from fewbench.report.statistics.crossed import LEVEL, Paired, estimate
from fewbench.report.statistics.resample import Items, bootstrap, p_value, permuted
from fewbench.report.statistics.sums import SUMMED

FEATURES, ACCURACY = SUMMED["accuracy"]


def main() -> None:
    """Read the arguments, and print a line a setting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--trials", type=int, default=300, help="stores of each kind (default: %(default)s)"
    )
    parser.add_argument(
        "--resamples", type=int, default=300, help="of each kind (default: %(default)s)"
    )
    parser.add_argument(
        "--items", type=int, default=300, help="test items a task (default: %(default)s)"
    )
    given = parser.parse_args()
    for tasks, rows in ((1, 1), (1, 7), (7, 1), (7, 4)):
        for gain in (0.0, 0.3):
            rng = np.random.default_rng([tasks, rows])
            told = [
                one_store(rng, tasks, rows, gain, given.items, given.resamples)
                for _ in range(given.trials)
            ]
            now, before = (100 * sum(side) / len(told) for side in zip(*told, strict=True))
            what = "false verdicts" if gain == 0 else "true verdicts "
            print(
                f"{tasks} tasks x {rows} K, 5 seeds: {what} {now:5.1f} %, before {before:5.1f} %",
                flush=True,
            )


def one_store(
    rng: np.random.Generator, tasks: int, rows: int, gain: float, items: int, resamples: int
) -> list[bool]:
    """Return whether the mean of a store is told, now and by what was done before."""
    clusters = [one_task(rng, rows, gain, items, resamples) for _ in range(tasks)]
    return [
        estimate(clusters).p < LEVEL,
        before([row for cluster in clusters for row in cluster], rng),
    ]


def one_task(
    rng: np.random.Generator, rows: int, gain: float, items: int, resamples: int, seeds: int = 5
) -> list[Paired]:
    """Return a task's rows, a K each, of two methods."""
    hard = rng.normal(0, 1.5, items)
    sides = []
    for plus in (gain, 0.0):
        own = rng.normal(0, 0.5, items)
        seed = rng.normal(0, 0.3, (1, seeds, 1)) + rng.normal(0, 0.2, (rows, seeds, 1))
        chance = 1 / (1 + np.exp(-(0.7 + plus + hard + own + seed)))
        sides.append(rng.random((rows, seeds, items)) < chance)
    start = int(rng.integers(2**31))
    found = []
    for first, second in zip(*sides, strict=True):
        both = [
            np.stack([FEATURES(np.ones(items), answers, 2) for answers in side])
            for side in (first, second)
        ]
        drawn = [
            draw([Items(*both, ACCURACY)], resamples, np.random.default_rng(start))[0]
            for draw in (bootstrap, permuted)
        ]
        found.append(
            Paired(tuple(range(seeds)), first.mean(1) - second.mean(1), drawn[0], drawn[1])
        )
    return found


def before(rows: list[Paired], rng: np.random.Generator) -> bool:
    """Return whether the mean was told with all rows independent: a percentile interval, and p over
    items alone.
    """
    resampled, nulls = [], []
    for row in rows:
        assert row.resampled is not None and row.null is not None
        order = rng.permutation(len(row.null))
        count = len(row.differences)
        means = (
            row.differences[rng.integers(count, size=(len(order), count))].mean(1) - row.difference
        )
        resampled.append(row.resampled[order] + means * math.sqrt(count / (count - 1)))
        nulls.append(row.null[rng.permutation(len(order))])
    low, high = np.quantile(np.mean(resampled, 0), [LEVEL / 2, 1 - LEVEL / 2])
    p = p_value(np.mean(nulls, 0), float(np.mean([row.difference for row in rows])))
    return p < LEVEL and not low <= 0 <= high


if __name__ == "__main__":
    main()
