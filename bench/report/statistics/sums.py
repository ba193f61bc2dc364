"""Metrics as functions of sums over items.

What an item adds to the sums does not depend on the other items, and the score is a function of the
sums alone: thousands of resamples of the items are one matrix product. Accuracy and other means
over items, F1, the correlation of Matthews and that of Pearson are of this kind; Spearman's is not,
since ranks depend on all items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Features(Protocol):
    """Computes what each item adds to the sums, [n, F]."""

    def __call__(
        self, gold: NDArray[Any], answers: NDArray[Any], classes: int, positive: int = 1, /
    ) -> Floats:
        """Return it for gold labels [n] and answers [n] of C classes.

        F1 is that of the class `positive`.
        """
        ...


class Summed(NamedTuple):
    """A metric: what each item adds, and the score of the sums.

    `value` takes sums [..., F] and gives scores [...]. Both sides of a comparison must be given the
    same number of classes.
    """

    features: Features
    value: Callable[[Floats], Floats]


def divide(above: Floats, below: Floats) -> Floats:
    """Return above / below, and 0 where `below` is 0, as all metrics here do."""
    zeros = np.zeros(np.broadcast(above, below).shape)
    return np.divide(above, below, out=zeros, where=below != 0)


def _right(gold: NDArray[Any], answers: NDArray[Any], classes: int, positive: int = 1, /) -> Floats:
    """[n, 2]: right, one."""
    return np.stack([gold == answers, np.ones(len(gold))], 1).astype(float)


def _own(gold: NDArray[Any], answers: NDArray[Any], classes: int, positive: int = 1, /) -> Floats:
    """[n, 2]: the score of an answer, one; `answers` are scores already."""
    return np.stack([answers, np.ones(len(answers))], 1).astype(float)


def _accuracy(sums: Floats) -> Floats:
    return divide(sums[..., 0], sums[..., 1])


def _by_class(
    gold: NDArray[Any], answers: NDArray[Any], classes: int, positive: int = 1, /
) -> Floats:
    """[n, 3C]: a class right, answered, and gold."""
    labels = np.arange(classes)
    answered, golden = answers[:, None] == labels, gold[:, None] == labels
    return np.concatenate([answered & golden, answered, golden], 1).astype(float)


def _three(sums: Floats) -> tuple[Floats, Floats, Floats]:
    right, answered, golden = np.split(sums, 3, axis=-1)
    return right, answered, golden


def _of_class(
    gold: NDArray[Any], answers: NDArray[Any], classes: int, positive: int = 1, /
) -> Floats:
    """[n, 3]: the positive class right, answered, and gold."""
    answered, golden = answers == positive, gold == positive
    return np.stack([answered & golden, answered, golden], 1).astype(float)


def _f1(sums: Floats) -> Floats:
    """2 tp / (answered + gold)."""
    right, answered, golden = np.moveaxis(sums, -1, 0)
    return divide(2 * right, answered + golden)


def _macro_f1(sums: Floats) -> Floats:
    """Average F1 over the classes that occur among answers or gold labels."""
    right, answered, golden = _three(sums)
    occurrences = answered + golden
    f1 = divide(2 * right, occurrences)
    occurring = (occurrences > 0).sum(-1)
    return divide(f1.sum(-1), occurring.astype(float))


def _mcc(sums: Floats) -> Floats:
    """Gorodkin, 2004: the correlation of C classes; with two, that of Matthews."""
    right, answered, golden = _three(sums)
    n = golden.sum(-1)
    covariance = n * right.sum(-1) - (answered * golden).sum(-1)
    of_answers = n**2 - (answered**2).sum(-1)
    of_gold = n**2 - (golden**2).sum(-1)
    return divide(covariance, np.sqrt(of_answers * of_gold))


def _moments(
    gold: NDArray[Any], answers: NDArray[Any], classes: int, positive: int = 1, /
) -> Floats:
    """[n, 6]: 1, x, y, xx, yy, xy.

    Both are about the mean of gold, so that little is lost in the subtraction below.
    """
    x, y = gold - gold.mean(), answers - gold.mean()
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], 1).astype(float)


def _pearson(sums: Floats) -> Floats:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = np.stack([n * xx - x * x, n * yy - y * y])
    rounding_error = 1e-10 * np.stack([n * xx, n * yy])
    constant = (spread <= rounding_error).any(0)
    scale = np.sqrt(np.abs(spread.prod(0)))
    return divide(n * xy - x * y, np.where(constant, 0.0, scale))


SUMMED: Mapping[str, Summed] = {
    "accuracy": Summed(_right, _accuracy),
    "f1": Summed(_of_class, _f1),
    "macro_f1": Summed(_by_class, _macro_f1),
    "mcc": Summed(_by_class, _mcc),
    "pearson": Summed(_moments, _pearson),
    "exact_match": Summed(_own, _accuracy),
    "token_f1": Summed(_own, _accuracy),
}
"""By the names of `fewbench.data.metrics.METRICS` and `fewbench.data.spans.SPAN_METRICS`."""
