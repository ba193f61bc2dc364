"""Loyalty: the resemblance of a model's predictions to another's (thesis, section 4.3.1).

It needs only stored predictions. Logarithms are natural by default: the authors advise to use
scipy's `jensenshannon` with its defaults. Disjoint predictions then give 1 - sqrt(ln 2) = 0.167,
and 0 in base 2 (the L_p in [0, 1] of eq. 4.4). The thesis does not say which base it used, nor that
the distance is averaged over items, as it is here.

Axes: n items, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from fewbench.errors import BenchError
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Base = Literal["e", "2"]
RESAMPLES = 1000
CONFIDENCE = 0.95
SEED = 0
"""The bootstrap's seed: the same predictions give the same interval."""


class Mean(NamedTuple):
    """A mean over items, and the bootstrap's percentile interval of it."""

    value: float
    low: float
    high: float


class Loyalty(NamedTuple):
    """Label and probability loyalty over n items; `base` is that of the logarithm."""

    label: Mean
    probability: Mean
    base: Base
    n: int


def label_loyalty(teacher: ArrayLike, student: ArrayLike) -> float:
    """Return the share of items with equal arg-max classes, 0 to 1; eq. 4.1.

    Args:
        teacher: probabilities [n, C]; the first of equal ones is the answer.
        student: of the same items, [n, C].

    Raises:
        BenchError: the shapes differ, or a row does not hold probabilities.
    """
    return float(_same_labels(*_checked(teacher, student)).mean())


def probability_loyalty(teacher: ArrayLike, student: ArrayLike, *, base: Base = "e") -> float:
    """Return the mean over items of 1 - the Jensen-Shannon distance; eq. 4.2 to 4.4.

    The distance is the root of the divergence.

    Args:
        teacher: probabilities [n, C]; each row is scaled to sum 1.
        student: of the same items, [n, C].
        base: of the logarithm.

    Raises:
        BenchError: the shapes differ, or a row does not hold probabilities.
    """
    return float(_resemblance(*_checked(teacher, student), base).mean())


def both_loyalties(teacher: ArrayLike, student: ArrayLike) -> tuple[float, float]:
    """Return the label and the probability loyalty, with rows checked and scaled once for both.

    The logarithm of the probability loyalty is the natural one.

    Args:
        teacher: probabilities, [n, C].
        student: the same for the same rows.

    Raises:
        BenchError: the shapes differ, or a row does not hold probabilities.
    """
    p, q = _checked(teacher, student)
    return float(_same_labels(p, q).mean()), float(_resemblance(p, q, "e").mean())


def loyalty(teacher: ArrayLike, student: ArrayLike, *, base: Base = "e") -> Loyalty:
    """Return both loyalties with their intervals.

    Raises:
        BenchError: the shapes differ, or a row does not hold probabilities.
    """
    p, q = _checked(teacher, student)
    label = bootstrap(_same_labels(p, q))
    probability = bootstrap(_resemblance(p, q, base))
    return Loyalty(label, probability, base, len(p))


def between(teacher: Record, student: Record, store: Store, *, base: Base = "e") -> Loyalty:
    """Return the loyalty of one stored run to another.

    Raises:
        BenchError: see `paired`.
    """
    return loyalty(*paired(teacher, student, store), base=base)


def paired(
    teacher: Record, student: Record, store: Store
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two stored runs' probabilities of the same items, [n, C] each.

    Raises:
        BenchError: the runs have other test sets, one failed, their task has no classes, or their
            predictions are damaged.
    """
    if teacher.run.test_fingerprint != student.run.test_fingerprint:
        raise BenchError(
            "these two runs were tested on different examples, so they cannot be compared",
            where=" and ".join(map(_tested, (teacher, student))),
            fix="two runs of one task, source, --limit and, with --drop-leaks, split seed",
        )
    teacher_ids, teacher_rows = _probabilities(teacher, store)
    student_ids, student_rows = _probabilities(student, store)
    if teacher_ids != student_ids:  # the fingerprint covers texts and labels, but no ids
        raise BenchError(
            "the items of these two runs have other ids, or another order",
            where=f"{_title(teacher)}, {_title(student)}",
        )
    return teacher_rows, student_rows


def own_teacher(student: Record, records: Mapping[str, Record]) -> Record | None:
    """Return the run that taught a student.

    It is None if the student had no teacher, or if other code has redone the teacher's run since.

    Args:
        student: a run; its details name its teacher's run and that run's code.
        records: stored runs, by key.
    """
    details: Json = student.details.get("teacher", {})
    teacher = records.get(str(details.get("run")))
    if teacher is None or teacher.method_code != details.get("code"):
        return None
    return teacher


def bootstrap(items: NDArray[np.float64]) -> Mean:
    """Return the mean of items [n] and its 95% percentile interval over resamples of them."""
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
    """Return 1 - the Jensen-Shannon distance of each item, [n], for rows of sum 1."""
    import numpy as np

    middle = (p + q) / 2
    nats = (_divergence(p, middle) + _divergence(q, middle)) / 2
    nats = np.maximum(nats, 0)  # rounding may leave it slightly below 0
    scale = math.log(2) if base == "2" else 1
    return np.asarray(1 - np.sqrt(nats / scale))


def _divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Kullback-Leibler divergence of each item, [n]; where p is 0, its term is 0."""
    import numpy as np

    logs = np.log(np.divide(p, q, out=np.ones_like(p), where=p > 0))
    return np.asarray((p * logs).sum(1), np.float64)


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
    return _scaled(p, "teacher"), _scaled(q, "student")


def _scaled(array: NDArray[np.float64], owner: str) -> NDArray[np.float64]:
    """Return rows of sum 1, [n, C], of an array that must hold probabilities."""
    import numpy as np

    sums = array.sum(1, keepdims=True)
    if np.isfinite(array).all() and array.min() >= 0 and sums.min() > 0:
        return np.asarray(array / sums)
    fits = np.isfinite(array).all(1) & (array >= 0).all(1) & (sums[:, 0] > 0)
    row = int(np.flatnonzero(~fits)[0])
    raise BenchError(
        f"row {row} of the {owner}'s predictions does not hold probabilities: "
        f"{array[row].tolist()}",
        allowed="finite numbers, 0 or more, not all 0",
    )


def _probabilities(record: Record, store: Store) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Return the ids of a run's items and its probabilities of them, [n, C]."""
    predictions = store.predictions(record)
    if predictions.probabilities is None:
        raise BenchError(
            f"{_title(record)} answers by {predictions.kind}: it has no probabilities of labels to "
            "compare",
            allowed="tasks with classes",
        )
    return predictions.ids, predictions.probabilities


def _tested(record: Record) -> str:
    return f"{_title(record)} (test {record.run.test_fingerprint[:8]})"


def _title(record: Record) -> str:
    run = record.run
    return f"{run.key[:8]} ({run.task}@{run.source} {run.method} k{run.k} s{run.seed})"
