"""The paired bootstrap and the paired permutation test over items, for any metric of sums.

Axes: S seeds, n items, F sums, B resamples. Every seed's model answers the same items: a resample's
items, and a permutation's swaps, are the same for all seeds. Generators in one state draw the same
items for all who answer n of them, so whatever is tested on one test set (another K, another
template) is resampled together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fewbench.report.statistics.sums import Floats

CHUNK = 2_000_000
"""Numbers of one matrix of weights: 16 MB."""

Value = Callable[[Floats], Floats]


def bootstrap(
    first: Floats, second: Floats, value: Value, resamples: int, rng: np.random.Generator
) -> Floats:
    """Resample items, and return the difference of two methods' mean scores in each resample, [B].

    A resample draws items with replacement, the same for both methods and all seeds: an item hard
    for one seed's model tends to be hard for another's. The seeds are taken as they are.

    Args:
        first: what each item adds, [S, n, F]; rows of zeros for items that a seed's test set lacks.
        second: the other method's, for the same seeds and items.
        value: from sums [..., F] to scores.
        resamples: B.
        rng: what is drawn from.
    """
    parts = []
    for rows in _chunks(resamples, first.shape[1]):
        weights = _counts(rng, first.shape[1], rows)
        difference = value(_sums(weights, first)) - value(_sums(weights, second))
        parts.append(difference.mean(1))
    return np.concatenate(parts)


def permuted(
    first: Floats, second: Floats, value: Value, resamples: int, rng: np.random.Generator
) -> Floats:
    """Swap answers at random, and return the difference of mean scores in each permutation, [B].

    The null hypothesis is that the two names are exchangeable item by item. Each time, a fair coin
    for each item swaps what the two methods answered to it, for all seeds together (Noreen, 1989,
    approximate randomisation, with items as blocks). The models are taken as they are: this asks
    whether the difference would stand on other items, not for other splits.
    """
    moved = second - first
    parts = []
    for rows in _chunks(resamples, first.shape[1]):
        shift = _sums(_coins(rng, first.shape[1], rows), moved)
        difference = value(first.sum(1) + shift) - value(second.sum(1) - shift)
        parts.append(difference.mean(1))
    return np.concatenate(parts)


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


def _sums(weights: Floats, features: Floats) -> Floats:
    """Sum features by weight: [rows, n] and [S, n, F] to [rows, S, F]."""
    seeds, n, size = features.shape
    flat = np.moveaxis(features, 1, 0).reshape(n, seeds * size)
    return np.asarray(weights @ flat).reshape(-1, seeds, size)
