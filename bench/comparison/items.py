"""What each test item adds to the scores of paired records, from stored predictions and the task's test labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewbench.comparison.pairing import Pair
from fewbench.declare import declared, with_source
from fewbench.errors import BenchError, StoreDamaged
from fewbench.reader import read_rows
from fewbench.record import Record
from fewbench.registry import task_files
from fewbench.split import fingerprint
from fewbench.statistics.sums import SUMMED, Floats
from fewbench.store import Store
from fewbench.types import Predictions

TOLERANCE = 1e-4
"""How far a score of stored predictions, which are float32, may lie from the recorded one."""


class Items(NamedTuple):
    """What n items add to the scores of two methods with S seeds, [S, n, F] each, and the score of their sums."""

    first: Floats
    second: Floats
    value: Callable[[Floats], Floats]


class NoItems(Exception):
    """Why a pair can only be compared by seed."""


class Labels:
    """The test labels of tasks, read once each.

    Args:
        data: the data folder.
        files: task files besides the project's own.
    """

    def __init__(self, data: Path | None, files: Sequence[Path] = ()) -> None:
        self._data = data
        self._tasks = declared(task_files(files)).tasks
        self._read: dict[tuple[str, str, int | None], tuple[NDArray[Any], dict[str, int], str]] = {}

    def of(self, record: Record) -> tuple[NDArray[Any], Mapping[str, int]]:
        """Return the labels of a record's task's test items, [n], and the place of each item in them, by its id.

        Raises:
            NoItems: the task, its data, or this very test set is not here.
        """
        run = record.run
        place = (run.task, run.source, run.limit)
        if place not in self._read:
            self._read[place] = self._labels(*place)
        labels, places, found = self._read[place]
        if found != record.split.get("whole_test_fingerprint", run.test_fingerprint):
            raise NoItems("the data here has another test set")
        return labels, places

    def _labels(self, name: str, source: str, limit: int | None) -> tuple[NDArray[Any], dict[str, int], str]:
        try:
            rows = read_rows(with_source(self._tasks[name], source), self._data, offline=True).test[:limit]
        except KeyError as error:
            raise NoItems("the task is not declared here") from error
        except BenchError as error:
            raise NoItems("its data is not here (--data DIR)") from error
        labels = np.asarray([row.label for row in rows])
        return labels, {row.id: place for place, row in enumerate(rows)}, fingerprint(rows)


def items(pair: Pair, stores: tuple[Store, Store], labels: Labels) -> Items:
    """Return what the items of a pair add to its scores. Items that a seed's test set lacks add nothing.

    Args:
        pair: on the same test sets.
        stores: the store of the first's records and that of the second's.
        labels: gives the test labels.

    Raises:
        NoItems: labels or predictions are not here, the test sets differ, or the metric is none of sums.
        BenchError: predictions that do not give the recorded score.
    """
    if any("test sets" in text for text in pair.unlike):
        raise NoItems("the test sets differ")
    if pair.metric not in SUMMED:
        raise NoItems(f"{pair.metric} is no function of sums over items")
    features, value = SUMMED[pair.metric]
    sides = []
    for records, store in zip((pair.first, pair.second), stores, strict=True):
        seeds = []
        for record in records:
            gold, places = labels.of(record)
            found = _predictions(store, record)
            rows = np.asarray([places.get(name, -1) for name in found.ids])
            if (rows < 0).any():
                raise NoItems("the data here lacks test items")
            classes = 0 if found.probabilities is None else found.array.shape[1]
            added = features(gold[rows], found.answers, classes)
            _check(record, pair.metric, float(value(added.sum(0))))
            seeds.append(np.zeros((len(gold), added.shape[1])))
            seeds[-1][rows] = added
        sides.append(np.stack(seeds))
    return Items(sides[0], sides[1], value)


def _predictions(store: Store, record: Record) -> Predictions:
    try:
        return store.predictions(record)
    except StoreDamaged:
        raise
    except BenchError as error:
        raise NoItems("no predictions are stored") from error


def _check(record: Record, metric: str, found: float) -> None:
    stored = float(record.scores["test"][metric])
    if abs(found - stored) > TOLERANCE:
        raise BenchError(
            f"the predictions of run {record.run.key[:8]} give {metric} {found:.4f}, and its record says {stored:.4f}",
            fix="bench run --force redoes it",
        )
