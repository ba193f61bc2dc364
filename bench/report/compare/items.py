"""Item scores of paired records, from stored predictions and the task's test labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewbench.data.reader import read_rows
from fewbench.data.spans import as_spans, item_scores
from fewbench.data.task_file import declared, with_source
from fewbench.errors import BenchError, StoreDamaged
from fewbench.measure.tested_rows import whole_rows
from fewbench.registry.methods import task_files
from fewbench.report.compare.pairing import Pair
from fewbench.report.statistics.resample import Items
from fewbench.report.statistics.sums import SUMMED, Floats, Summed
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Example, Predictions, Rows, Task

TOLERANCE = 1e-4
"""How far a score of stored predictions, which are float32, may lie from the recorded one."""

MOST_KEPT = 8_000_000
"""Numbers that are kept of what the items of records add to their scores: 64 MB."""


class NoItems(Exception):
    """The reason why a pair can only be compared by seed."""


class Gold(NamedTuple):
    """The rows that runs of a task were tested on, labels included, and their places by id."""

    task: Task
    rows: Sequence[Example]
    places: Mapping[str, int]

    def labels(self, chosen: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels of some rows."""
        return np.asarray([self.rows[row].label for row in chosen])

    def answers(
        self, chosen: NDArray[np.int64], predictions: Predictions, metric: str
    ) -> NDArray[Any]:
        """Return the answers to some rows; those that are spans are scored by a metric."""
        if predictions.spans is None:
            return predictions.answers
        rows = [self.rows[row] for row in chosen]
        return item_scores(self.task, rows, as_spans(predictions.spans), metric)


class Labels:
    """The test labels of tasks, read once each.

    Args:
        data: the data folder.
        files: task files besides the project's own.
        tasks: those of the project and of the files, where they have been read already.
    """

    def __init__(
        self,
        data: Path | None,
        files: Sequence[Path] = (),
        tasks: Mapping[str, Task] | None = None,
    ) -> None:
        self._data = data
        self._tasks = declared(task_files(files)).tasks if tasks is None else tasks
        self._rows: dict[tuple[str, str], tuple[Task, Rows]] = {}
        self._gold: dict[tuple[str, str, int | None, str], Gold] = {}
        self._added: dict[tuple[Hashable, ...], Floats] = {}
        self._numbers = 0

    def of(self, record: Record) -> Gold:
        """Return the labels of a record's test rows, leaked ones among them.

        Raises:
            NoItems: the task, its data, or the same test set is not available.
        """
        run = record.run
        shared = (run.task, run.source, run.limit, record.test_set)
        if shared not in self._gold:
            task, rows = self._read(run.task, run.source)
            try:
                tested = whole_rows(record, rows)
            except BenchError as error:
                raise NoItems("the data here has another test set") from error
            places = {row.id: place for place, row in enumerate(tested)}
            self._gold[shared] = Gold(task, tested, places)
        return self._gold[shared]

    def added(self, record: Record, store: Store, metric: Summed) -> Floats:
        """Return each item's addition to a record's score, [n, F].

        A method is compared with many others, and read once for all of them.

        Raises:
            NoItems: see `items`.
            BenchError: see `items`.
        """
        scored = record.selection.metric, record.selection.positive, record.finished_score
        place = store.root, record.run.key, record.predictions, metric, *scored
        if place not in self._added:
            features = _features(record, store, self.of(record), metric)
            if self._numbers + features.size > MOST_KEPT:
                self._added.clear()
                self._numbers = 0
            self._added[place] = features
            self._numbers += features.size
        return self._added[place]

    def _read(self, name: str, source: str) -> tuple[Task, Rows]:
        if (name, source) not in self._rows:
            try:
                task = with_source(self._tasks[name], source)
                self._rows[name, source] = task, read_rows(task, self._data, offline=True)
            except KeyError as error:
                problem = f"the task {name} is not declared here (--tasks FILE.toml)"
                raise NoItems(problem) from error
            except BenchError as error:
                raise NoItems("its data is not here (--data DIR)") from error
        return self._rows[name, source]


def items(pair: Pair, stores: tuple[Store, Store], labels: Labels) -> Items:
    """Compute what each item of a pair adds to its scores.

    Items that are not in a seed's test set add nothing.

    Args:
        pair: on the same test sets.
        stores: the store of the first's records and that of the second's.
        labels: gives the test labels.

    Raises:
        NoItems: labels or predictions are not available, the test sets differ, or the metric is not
            a function of sums over items.
        BenchError: predictions that do not give the recorded score.
    """
    if any("test sets" in text or "limit" in text for text in pair.unlike):
        raise NoItems("the test sets differ")
    if pair.metric not in SUMMED:
        raise NoItems(f"{pair.metric} is not a function of sums over items")
    metric = SUMMED[pair.metric]
    first = [labels.added(record, stores[0], metric) for record in pair.first]
    second = [labels.added(record, stores[1], metric) for record in pair.second]
    return Items(np.stack(first), np.stack(second), metric.value)


def vary(records: Sequence[Record], store: Store) -> bool:
    """True if a method's answers depend on the split seed, or there is only one run.

    Where no predictions are stored, equal scores count as equal answers.

    Args:
        records: of one question, one per seed.
        store: of their predictions.
    """
    if len(records) < 2 or len({round(record.finished_score, 9) for record in records}) > 1:
        return True
    try:
        answers = [_answers(_predictions(store, record)) for record in records]
    except NoItems:
        return False
    first = answers[0]
    return any(
        first.get(name, answer) != answer for other in answers[1:] for name, answer in other.items()
    )


def _answers(predictions: Predictions) -> dict[str, object]:
    """Return the answer to each item by its id."""
    return dict(zip(predictions.ids, predictions.answers.tolist(), strict=True))


def _features(record: Record, store: Store, gold: Gold, metric: Summed) -> Floats:
    """Compute what each item adds to a record's score, [n, F], and check the score of the sums."""
    predictions = _predictions(store, record)
    rows = np.asarray([gold.places.get(name, -1) for name in predictions.ids])
    if (rows < 0).any():
        raise NoItems("the data here lacks test items")
    classes = 0 if predictions.probabilities is None else predictions.array.shape[1]
    positive = _positive(record, gold.task.labels)
    answers = gold.answers(rows, predictions, str(record.selection.metric))
    tested = metric.features(gold.labels(rows), answers, classes, positive)
    _check(record, float(metric.value(tested.sum(0))))
    features = np.zeros((len(gold.rows), tested.shape[1]))
    features[rows] = tested
    return features


def _positive(record: Record, names: Sequence[str]) -> int:
    """Return the class of F1: the one the record names, or for earlier records the second."""
    name = record.question.task.positive
    if name and name not in names:
        raise NoItems(f"the task here has no class '{name}'")
    return names.index(name) if name else 1


def _predictions(store: Store, record: Record) -> Predictions:
    try:
        return store.predictions(record)
    except StoreDamaged:
        raise
    except BenchError as error:
        raise NoItems("no predictions are stored") from error


def _check(record: Record, score: float) -> None:
    if abs(score - record.finished_score) > TOLERANCE:
        metric = record.selection.metric
        raise BenchError(
            f"the predictions of run {record.run.key[:8]} give {metric} {score:.4f}, "
            f"and its record says {record.finished_score:.4f}",
            fix="bench run --force redoes it",
        )
