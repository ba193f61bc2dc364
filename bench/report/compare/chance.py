"""Tasks at chance: no method that trains is above the majority class there.

Differences on such a task are noise, so it counts in no mean, on the board and in the findings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from fewbench.report.compare.rows import FEWEST_SEEDS
from fewbench.report.statistics.crossed import LEVEL
from fewbench.report.statistics.distributions import t_upper
from fewbench.report.statistics.paired import holm
from fewbench.store.cell import Entrant, Question, entrant_of
from fewbench.store.record import Record

BASELINE = "majority"


class _Scores(NamedTuple):
    """The majority's score on each task and test set, and those of others by seed."""

    floors: Mapping[tuple[str, str], float]
    cells: Mapping[tuple[Question, Entrant], Mapping[int, float]]


def at_chance(records: Iterable[Record]) -> set[str]:
    """Name the tasks on which no method that trains is above the majority class, at any K.

    One-sided t-tests over the seeds of each method in each question, against `majority` on the same
    test rows; Holm, 1979, over those of a task. Runs of other constants, settings or rows are
    another method's or question's; a seed with several runs in one cell counts in no test. A task
    without a run of `majority` is not among them.
    """
    return _at_chance(_scores(records))


def _at_chance(scores: _Scores) -> set[str]:
    ps: dict[str, list[float]] = {task: [] for task, _ in scores.floors}
    for (question, _), seeds in scores.cells.items():
        floor = scores.floors.get((question.task.task, question.task.test_set))
        values = list(seeds.values())
        if floor is not None and len(values) >= FEWEST_SEEDS and max(values) > min(values):
            ps[question.task.task].append(_p_above(values, floor))
    return {task for task, each in ps.items() if min(holm(each), default=1.0) >= LEVEL}


def _p_above(values: Sequence[float], floor: float) -> float:
    """Return the p of Student's one-sided test that the mean of all values is above a floor."""
    n, mean = len(values), fmean(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return t_upper((mean - floor) / math.sqrt(variance / n), n - 1)


def _scores(records: Iterable[Record]) -> _Scores:
    floors: dict[tuple[str, str], float] = {}
    cells: dict[tuple[Question, Entrant], dict[int, list[float]]] = {}
    for record in records:
        question = record.question
        if not question.comparable or record.score is None:
            continue
        if record.run.method == BASELINE:
            floors[question.task.task, question.task.test_set] = record.score
        else:
            seeds = cells.setdefault((question, entrant_of(record.run)), {})
            seeds.setdefault(record.run.seed, []).append(record.score)
    return _Scores(floors, {cell: _alone(seeds) for cell, seeds in cells.items()})


def _alone(seeds: Mapping[int, Sequence[float]]) -> dict[int, float]:
    """Drop the seeds with several runs: none of them is the score of the seed."""
    return {seed: scores[0] for seed, scores in seeds.items() if len(scores) == 1}


class ChanceTasks:
    """The tasks at chance of each student, among those where some method of it has enough seeds.

    Args:
        records: of any students; those of `majority` count for all of them.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        by_student: dict[str, list[Record]] = {}
        for record in records:
            by_student.setdefault(entrant_of(record.run).student, []).append(record)
        baselines = by_student.pop("", [])
        self._chance: dict[str, set[str]] = {}
        self._tested: dict[str, set[str]] = {}
        for student, own in by_student.items():
            scores = _scores([*baselines, *own])
            self._chance[student] = _at_chance(scores)
            self._tested[student] = _tested(scores)

    def of(self, students: Iterable[str]) -> set[str]:
        """Name the tasks at chance for all of some students, and tested with one of them."""
        wanted = [student for student in students if student in self._chance]
        if not wanted:
            return set()
        tested = set().union(*(self._tested[student] for student in wanted))
        return tested.intersection(*(self._chance[student] for student in wanted))


def _tested(scores: _Scores) -> set[str]:
    """Name the tasks on which some method has as many seeds as a test needs, and the majority one.

    A method whose scores do not vary is not tested, and counts as one that does not get above.
    """
    found = set()
    for (question, _), seeds in scores.cells.items():
        place = question.task.task, question.task.test_set
        if place in scores.floors and len(seeds) >= FEWEST_SEEDS:
            found.add(question.task.task)
    return found
