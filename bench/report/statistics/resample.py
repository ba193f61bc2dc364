"""The paired bootstrap and the paired permutation test over items, for any metric of sums.

Axes: S seeds, n items, F sums, B resamples. All seeds' models answer the same items: a resample's
items, and a permutation's swaps, are the same for all seeds, and for all comparisons on one test
set (other methods, another K, another template), so that these can be averaged draw by draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fewbench.report.statistics.sums import Floats

CHUNK = 2_000_000
"""Numbers of one matrix of weights: 16 MB."""


class Items(NamedTuple):
    """The contributions of n items to the scores of two methods with S seeds, [S, n, F] each.

    There are rows of zeros for items that a seed's test set lacks. `value` is the score of their
    sums, from [..., F].
    """

    first: Floats
    second: Floats
    value: Callable[[Floats], Floats]


def bootstrap(items: Sequence[Items], resamples: int, rng: np.random.Generator) -> list[Floats]:
    """Resample items, and return each comparison's difference of mean scores by resample, [B].

    A resample draws items with replacement, the same for both methods, all seeds and comparisons:
    an item hard for one seed's model tends to be hard for another's. The seeds are taken as they
    are.

    Args:
        items: of comparisons on the same n items.
        resamples: B.
        rng: what is drawn from.
    """
    sides = [side for one in items for side in one[:2]]

    def differences(rows: int) -> Iterator[Floats]:
        sums = _sums(_counts(rng, items[0].first.shape[1], rows), sides)
        for one in items:
            yield one.value(next(sums)) - one.value(next(sums))

    return _drawn(items, resamples, differences)


def permuted(items: Sequence[Items], resamples: int, rng: np.random.Generator) -> list[Floats]:
    """Swap answers at random, and return each comparison's difference by permutation, [B].

    The null hypothesis is that the two names are exchangeable item by item. Each time, a fair coin
    for each item swaps what the two methods answered to it, for all seeds and comparisons together
    (Noreen, 1989, approximate randomisation, with items as blocks). The models are taken as they
    are: this asks whether the difference would stand on other items, not for other splits.

    Args:
        items: of comparisons on the same n items.
        resamples: B.
        rng: what is drawn from.
    """
    moved = [second - first for first, second, _ in items]

    def differences(rows: int) -> Iterator[Floats]:
        shifts = _sums(_coins(rng, items[0].first.shape[1], rows), moved)
        for (first, second, value), shift in zip(items, shifts, strict=True):
            yield value(first.sum(1) + shift) - value(second.sum(1) - shift)

    return _drawn(items, resamples, differences)


def _drawn(
    items: Sequence[Items], resamples: int, differences: Callable[[int], Iterator[Floats]]
) -> list[Floats]:
    """Draw in chunks; of each comparison return the mean over seeds by draw, [B].

    Args:
        items: of comparisons on the same n items.
        resamples: B.
        differences: of a number of draws, those of each comparison by seed, [rows, S].
    """
    parts: list[list[Floats]] = [[] for _ in items]
    for rows in _chunks(resamples, items[0].first.shape[1]):
        for part, difference in zip(parts, differences(rows), strict=True):
            part.append(difference.mean(1))
    return [np.concatenate(part) for part in parts]


def p_value(null: Floats, observed: float) -> float:
    """Return the two-sided p of a difference among those drawn under the null.

    The difference itself counts as drawn, so p is never 0.
    """
    as_large = (np.abs(null) >= abs(observed) - 1e-12).sum()
    return float((1 + as_large) / (1 + len(null)))


def _chunks(resamples: int, n: int) -> Iterator[int]:
    step = max(1, CHUNK // n)
    return (min(step, resamples - start) for start in range(0, resamples, step))


def _counts(rng: np.random.Generator, n: int, rows: int) -> Floats:
    """Draw n of n items with replacement, and count each item, [rows, n]."""
    first_of_row = n * np.arange(rows)[:, None]
    drawn = rng.integers(n, size=(rows, n)) + first_of_row
    counts = np.bincount(drawn.ravel(), minlength=rows * n)
    return counts.reshape(rows, n).astype(float)


def _coins(rng: np.random.Generator, n: int, rows: int) -> Floats:
    """Toss fair coins: zeros and ones, [rows, n]."""
    size = rows * n
    packed = rng.bytes(-(-size // 8))  # eight coins a byte, rounded up
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=size)
    return bits.reshape(rows, n).astype(float)


def _sums(weights: Floats, features: Sequence[Floats]) -> Iterator[Floats]:
    """Sum several features, [S, n, F] each, by weight [rows, n]: yield [rows, S, F] of each.

    One product for all: reading the weights is what takes long.
    """
    columns = [np.moveaxis(one, 1, 0).reshape(one.shape[1], -1) for one in features]
    sums = weights @ np.concatenate(columns, 1)
    ends = np.cumsum([one.shape[1] for one in columns])[:-1]
    for one, part in zip(features, np.split(sums, ends, axis=1), strict=True):
        yield part.reshape(-1, one.shape[0], one.shape[2])
