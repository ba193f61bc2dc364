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
    without a run of `majority`, or without a method of enough seeds, is not among them: nothing
    says that it is at chance. Scores that do not vary cannot be tested, and count as not above.
    """
    return {task for task, none_above in _verdicts(records).items() if none_above}


def _verdicts(records: Iterable[Record]) -> dict[str, bool]:
    """Say of each task with a method to test whether none is above the majority class."""
    scores = _scores(records)
    ps: dict[str, list[float]] = {}
    for (question, _), seeds in scores.cells.items():
        floor = scores.floors.get((question.task.task, question.task.test_set))
        values = list(seeds.values())
        if floor is None or len(values) < FEWEST_SEEDS:
            continue
        tested = ps.setdefault(question.task.task, [])
        if max(values) > min(values):
            tested.append(_p_above(values, floor))
    return {task: min(holm(each), default=1.0) >= LEVEL for task, each in ps.items()}


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
        self._verdicts = {
            student: _verdicts([*baselines, *own]) for student, own in by_student.items()
        }

    def of(self, students: Iterable[str]) -> set[str]:
        """Name the tasks at chance for all of some students, and tested with one of them."""
        at_chance: set[str] = set()
        above: set[str] = set()
        for student in students:
            for task, none_above in self._verdicts.get(student, {}).items():
                (at_chance if none_above else above).add(task)
        return at_chance - above
