"""The paired bootstrap and the paired permutation test, over seeds and items, for any metric of sums.

Axes: S seeds, n items, F sums, B resamples. Every seed's model answers the same items, so seeds and items are crossed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fewbench.statistics.sums import Floats

CHUNK = 2_000_000
"""Numbers of one matrix of weights: 16 MB."""

Value = Callable[[Floats], Floats]


def bootstrap(first: Floats, second: Floats, value: Value, resamples: int, rng: np.random.Generator) -> Floats:
    """Return the difference of two methods' mean scores in each resample, [B].

    A resample draws items with replacement, the same for both methods and all seeds (they are crossed, and an item hard
    for one seed's model tends to be hard for another's), and seeds with replacement, the same for both methods: the
    two-way bootstrap of Owen (2007), "The pigeonhole bootstrap", which errs on the side of a wide interval.

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
        parts.append(value(_sums(weights, first)) - value(_sums(weights, second)))
    return resample_seeds(np.concatenate(parts), rng)


def resample_seeds(differences: Floats, rng: np.random.Generator) -> Floats:
    """Return the mean of S seeds drawn with replacement in each resample: [B, S] -> [B].

    Means of S drawn seeds vary (S - 1) / S times as much as they should, half as much with two; their distance from the
    mean of all is stretched by the root of its inverse (Rao and Wu, 1988). A single seed says nothing of others.
    """
    seeds = differences.shape[1]
    mean = differences.mean(1)
    drawn = rng.integers(seeds, size=differences.shape)
    means = np.take_along_axis(differences, drawn, 1).mean(1)
    return np.asarray(mean + (means - mean) * np.sqrt(seeds / max(seeds - 1, 1)))


def interval(resampled: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of a bootstrap."""
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def permuted(first: Floats, second: Floats, value: Value, resamples: int, rng: np.random.Generator) -> Floats:
    """Return the difference of mean scores under the null hypothesis that names are exchangeable item by item, [B].

    Each time, a fair coin for each item swaps what the two methods answered to it, for all seeds together (Noreen,
    1989, approximate randomisation, with items as blocks). The models are taken as they are: this asks whether the
    difference would stand on other items, not for other splits.
    """
    moved = second - first
    parts = []
    for rows in _chunks(resamples, first.shape[1]):
        shift = _sums(_coins(rng, first.shape[1], rows), moved)
        parts.append((value(first.sum(1) + shift) - value(second.sum(1) - shift)).mean(1))
    return np.concatenate(parts)


def p_value(null: Floats, observed: float) -> float:
    """Return the two-sided p of a difference among those drawn under the null, itself counted (never 0)."""
    return float((1 + (np.abs(null) >= abs(observed) - 1e-12).sum()) / (1 + len(null)))


def sign_flips(differences: Sequence[float], rng: np.random.Generator, resamples: int = 20_000) -> float:
    """Return the two-sided p that paired differences have mean 0, by flipping their signs (Fisher).

    All 2^n patterns up to n = 14, and random ones beyond. Its least possible value is 2^(1-n): with five seeds, 0.0625.
    """
    values = np.asarray(differences, float)
    n = len(values)
    if n <= 14:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        null = np.asarray(signs @ values / n)
        return float((np.abs(null) >= abs(values.mean()) - 1e-12).mean())
    signs = rng.choice([-1.0, 1.0], size=(resamples, n))
    return p_value(signs @ values / n, float(values.mean()))


def _chunks(resamples: int, n: int) -> Iterator[int]:
    step = max(1, CHUNK // n)
    return (min(step, resamples - start) for start in range(0, resamples, step))


def _counts(rng: np.random.Generator, n: int, rows: int) -> Floats:
    """How often each of n items is drawn in n draws, [rows, n]."""
    drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)


def _coins(rng: np.random.Generator, n: int, rows: int) -> Floats:
    """Zeros and ones, [rows, n]."""
    size = rows * n
    bits = np.unpackbits(np.frombuffer(rng.bytes(-(-size // 8)), np.uint8), count=size)
    return bits.reshape(rows, n).astype(float)


def _sums(weights: Floats, features: Floats) -> Floats:
    """[rows, n] and [S, n, F] to [rows, S, F]."""
    seeds, n, size = features.shape
    flat = np.moveaxis(features, 1, 0).reshape(n, seeds * size)
    return np.asarray(weights @ flat).reshape(-1, seeds, size)
