"""How closely a model's predictions resemble another's (thesis, section 4.3.1).

From stored predictions alone, after the fact. Logarithms are natural unless said otherwise: the
authors' advice is scipy's `jensenshannon` as it stands. Disjoint predictions then give 1 - sqrt(ln
2) = 0.167, and 0 in base 2 (the L_p in [0, 1] of eq. 4.4); the thesis does not say which it used.
Averaged over items, which it does not say either.

Axes: n items, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fewbench.errors import BenchError
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Predictions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Base = Literal["e", "2"]
RESAMPLES = 1000
CONFIDENCE = 0.95
SEED = 0
"""Of the bootstrap: the same predictions give the same interval."""


class Mean(NamedTuple):
    """A mean over items, and the bootstrap's percentile interval of it."""

    value: float
    low: float
    high: float


class Loyalty(NamedTuple):
    """Of n items: label and probability loyalty, the latter by logarithms of `base`."""

    label: Mean
    probability: Mean
    base: Base
    n: int


def label_loyalty(teacher: ArrayLike, student: ArrayLike) -> float:
    """Return the share of items whose two arg-max classes are the same, 0 to 1; eq. 4.1.

    Args:
        teacher: probabilities [n, C]; among equal ones the first is the answer.
        student: of the same items, [n, C].

    Raises:
        BenchError: shapes that differ, or numbers that are no probabilities.
    """
    return float(_same_labels(*_checked(teacher, student)).mean())


def probability_loyalty(teacher: ArrayLike, student: ArrayLike, *, base: Base = "e") -> float:
    """Return 1 less the Jensen-Shannon distance (the root of the divergence), averaged over items;
    eq. 4.2 to 4.4.

    Args:
        teacher: probabilities [n, C]; each row is scaled to sum 1.
        student: of the same items, [n, C].
        base: of the logarithm.

    Raises:
        BenchError: shapes that differ, or numbers that are no probabilities.
    """
    return float(_resemblance(*_checked(teacher, student), base).mean())


def loyalty(teacher: ArrayLike, student: ArrayLike, *, base: Base = "e") -> Loyalty:
    """Return both loyalties with their intervals.

    Raises:
        BenchError: as of the two functions above.
    """
    p, q = _checked(teacher, student)
    return Loyalty(bootstrap(_same_labels(p, q)), bootstrap(_resemblance(p, q, base)), base, len(p))


def between(teacher: Record, student: Record, store: Store, *, base: Base = "e") -> Loyalty:
    """Return the loyalty of one stored run to another, from their stored predictions.

    Raises:
        BenchError: as of `paired`.
    """
    return loyalty(*paired(teacher, student, store), base=base)


def paired(
    teacher: Record, student: Record, store: Store
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two stored runs' probabilities of the same items, [n, C] each.

    Raises:
        BenchError: other test sets, a regression, a failed run; or the predictions are damaged.
    """
    if teacher.run.test_fingerprint != student.run.test_fingerprint:
        raise BenchError(
            "these two runs were tested on different examples, so nothing says how alike they are",
            where=" and ".join(
                f"{_title(one)} (test {one.run.test_fingerprint[:8]})" for one in (teacher, student)
            ),
            fix="two runs of one task, source and --limit; with --drop-leaks also of one split seed",
        )
    first, second = (
        _probabilities(store.predictions(record), record) for record in (teacher, student)
    )
    if (
        first.ids != second.ids
    ):  # the fingerprint is of texts and labels; rows may be called otherwise
        where = f"{_title(teacher)}, {_title(student)}"
        raise BenchError(
            "the items of these two runs are called otherwise, or stand in another order",
            where=where,
        )
    assert first.probabilities is not None and second.probabilities is not None
    return first.probabilities, second.probabilities


def own_teacher(student: Record, records: Mapping[str, Record]) -> Record | None:
    """Return the run that taught a student, or None: it had none, or that run was done again with
    other code since.

    Args:
        student: a run; its details name its teacher's run and that run's code.
        records: stored runs, by key.
    """
    told: Mapping[str, Any] = student.details.get("teacher", {})
    teacher = records.get(str(told.get("run")))
    return teacher if teacher is not None and teacher.method_code == told.get("code") else None


def bootstrap(items: NDArray[np.float64]) -> Mean:
    """Return the mean of some items [n] and its 95% percentile interval over resamples of the
    items.
    """
    import numpy as np

    draws = np.random.default_rng(SEED)
    means = [items[draws.integers(0, len(items), len(items))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Mean(float(items.mean()), float(low), float(high))


def _same_labels(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 for each item whose arg-max classes agree, else 0, [n]."""
    import numpy as np

    return np.asarray(p.argmax(1) == q.argmax(1), np.float64)


def _resemblance(p: NDArray[np.float64], q: NDArray[np.float64], base: Base) -> NDArray[np.float64]:
    """Return 1 less the distance of each item, [n], for rows of sum 1."""
    import numpy as np

    m = (p + q) / 2

    def divergence(
        rows: NDArray[np.float64],
    ) -> NDArray[np.float64]:  # where a row has 0, its term is 0
        logs = np.log(np.divide(rows, m, out=np.ones_like(rows), where=rows > 0))
        return np.asarray((rows * logs).sum(1), np.float64)

    in_nats = np.maximum(
        (divergence(p) + divergence(q)) / 2, 0
    )  # rounding may leave it a trifle below 0
    return np.asarray(1 - np.sqrt(in_nats / (math.log(2) if base == "2" else 1)))


def _checked(
    teacher: ArrayLike, student: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as rows of sum 1, [n, C]."""
    import numpy as np

    p, q = np.asarray(teacher, float), np.asarray(student, float)
    if p.shape != q.shape or p.ndim != 2 or 0 in p.shape:
        raise BenchError(
            f"loyalty of predictions of shapes {p.shape} and {q.shape}",
            allowed="two arrays [n, C] of one shape, n > 0",
        )
    for array, whose in ((p, "teacher"), (q, "student")):
        rows = np.flatnonzero(
            ~(np.isfinite(array).all(1) & (array >= 0).all(1) & (array.sum(1) > 0))
        )
        if len(rows):
            raise BenchError(
                f"row {rows[0]} of the {whose}'s predictions holds no probabilities: {array[rows[0]].tolist()}",
                allowed="finite numbers, 0 or more, not all 0",
            )
    return p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)


def _probabilities(predictions: Predictions, record: Record) -> Predictions:
    if predictions.probabilities is None:
        raise BenchError(
            f"{_title(record)} predicts values: a regression has no labels or probabilities to be loyal to",
            allowed="tasks with classes",
        )
    return predictions


def _title(record: Record) -> str:
    run = record.run
    return f"{run.key[:8]} ({run.task}@{run.source} {run.method} k{run.k} s{run.seed})"
