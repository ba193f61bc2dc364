"""Map each number of a table to the runs that would make it, or to the reason why none would."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fewbench.data.task_file import declared, with_source
from fewbench.data.train_size import is_full, parse_k
from fewbench.errors import BenchError
from fewbench.registry.methods import task_files
from fewbench.registry.needs import needing
from fewbench.registry.protocols import FULL_PROTOCOL, check_fits, get_protocol
from fewbench.registry.settings import Chosen, choose_methods, methods_of
from fewbench.report.published import HIDDEN_NOTES, UNSTATED, Published, k_option
from fewbench.report.reproduce.cells import (
    CellRuns,
    How,
    PlannedCell,
    PlannedRow,
    StandIns,
    TablePlan,
)
from fewbench.report.reproduce.tables import NEAREST, PrintedTable
from fewbench.types import Task

MEASURED: dict[str, How] = {
    "label_loyalty": "loyalty",
    "probability_loyalty": "loyalty",
    "after_attack_accuracy": "attack",
    "attack_queries": "attack",
    "speedup": "cost",
    "parameters_m": "cost",
}
"""What is no score, but is measured of a run."""

NOT_MEASURED = {
    "unstated": "the paper does not name the metric",
    "mrr": "facts are asked of a model, no method is trained: bench probe measures this (lama, …)",
    "train_minutes": "time on the paper's machine; bench show KEY tells a run's own",
    "peak_memory_gb": "memory on the paper's machine; bench show KEY tells a run's own",
}
"""Metrics that no run has, and why."""

NO_METHOD = "no method here does this"
NO_STUDENT = "needs a student: --student MODEL"
NO_TEACHER = "needs a teacher: --teacher MODEL"
IS_TEACHER = "the teacher itself, which is loyal by definition"
HAS_NO_TEACHER = "neither its run nor its table has a teacher"

TEACHERS = {("smash", "1"): "roberta-large", ("thesis", "3.2"): "bert-base"}
"""The teachers of tables that name none: other tables do, or all their small models come of it."""

HIDDEN = "theirs on GLUE's hidden test set, ours on its public development set"


class TeacherRow(NamedTuple):
    """The row of a table that prints its teacher; empty if there is none."""

    row: str = ""
    method: str = ""


class Known:
    """The methods and tasks of this installation, read once for many tables.

    Args:
        given: `NAME=VALUE` of settings that all methods get which have one of that name.
    """

    def __init__(self, given: Sequence[str] = ()) -> None:
        self._given = given
        self._methods = methods_of(())
        self.declared = declared(task_files())
        self._chosen: dict[str, Chosen] = {}

    def choice(self, method: str) -> Chosen:
        """Return a method with its settings.

        Raises:
            BenchError: an unknown method or setting.
        """
        if method not in self._chosen:
            (self._chosen[method],) = choose_methods([method], self._methods)
        return self._chosen[method]

    def typed(self, method: str) -> str:
        """Return a method of a table as its user types it, with the settings that were given.

        Raises:
            BenchError: an unknown method or setting.
        """
        chosen = self.choice(method)
        for setting in self._given:
            name = setting.partition("=")[0]
            if name in chosen.method.settings and name not in chosen.settings:
                method += f",{setting}" if ":" in method else f":{setting}"
        return method


def plan_cells(
    table: PrintedTable,
    models: StandIns,
    known: Known,
    *,
    protocol: str | None = None,
    numbers: Sequence[Published] | None = None,
) -> TablePlan:
    """Map the numbers of a table to runs, row by row.

    Args:
        table: a printed one.
        models: those that stand for its student and teacher.
        known: the methods and tasks that there are.
        protocol: by name; None for the paper's or the nearest, and for full data one that fits it.
        numbers: the part that was asked for; None for all.

    Raises:
        BenchError: no such protocol.
    """
    mapper = _Mapper(table, models, known, protocol)
    rows: dict[tuple[str, ...], list[PlannedCell]] = {}
    for number in table.numbers:
        row = number.group, number.row, number.backbone, number.k
        rows.setdefault(row, []).append(mapper.cell(number))
    planned = [PlannedRow(tuple(cells)).settled() for cells in rows.values()]
    if numbers is not None:
        planned = [row.only(numbers) for row in planned]
    kept = tuple(row for row in planned if row.cells)
    return TablePlan(table, models, mapper.protocol, kept, len(table.numbers))


class _Mapper:
    """Maps the numbers of one table."""

    def __init__(
        self, table: PrintedTable, models: StandIns, known: Known, protocol: str | None
    ) -> None:
        self._models = models
        self._known = known
        self._teacher = teacher_of(table)
        self._teacher_row = _teacher_row(table)
        self.protocol = protocol or table.protocol or NEAREST
        in_epochs = get_protocol(self.protocol).epochs is not None
        self._for_full = self.protocol if protocol or in_epochs else FULL_PROTOCOL

    def cell(self, number: Published) -> PlannedCell:
        """Return a number with its runs, or with the first reason why there are none."""
        reason = NOT_MEASURED.get(number.metric) or ("" if number.method else NO_METHOD)
        if reason:
            return PlannedCell(number, "none", reason=reason)
        how: How = "average" if number.metric == "average" else "score"
        how = MEASURED.get(number.metric, how)
        if how in ("average", "cost"):
            return PlannedCell(number, how)  # settled with its row
        try:
            runs = self._runs(number, how)
            teacher = self._other_teacher(number) if how == "loyalty" else None
        except BenchError as error:
            return PlannedCell(number, "none", reason=error.problem)
        return PlannedCell(number, how, runs, teacher, remark=_remark(number))

    def _runs(self, number: Published, how: How) -> CellRuns:
        """Return the runs of a number.

        Raises:
            BenchError: there are none, and why.
        """
        method = self._known.typed(number.method)
        choice = self._known.choice(method)
        task = self._task(number)
        _check_fit(number, choice, task, how)
        k = k_option(number.k)
        protocol = self._for_full if is_full(k) else self.protocol
        check_fits([parse_k(k)] if k else [], get_protocol(protocol))
        student, teacher = self._stand_ins(number, choice)
        place = method, task.full_name, number.template
        return CellRuns(*place, k, protocol, student, teacher)

    def _other_teacher(self, number: Published) -> CellRuns | None:
        """Return the runs of the teacher's row that a loyalty is to; None if its own name them.

        Raises:
            BenchError: the teacher's own loyalty, or a table without a teacher's row.
        """
        if "teacher" in self._known.choice(number.method).method.needs:
            return None
        if number.row == self._teacher_row.row:
            raise BenchError(IS_TEACHER)
        if not self._teacher_row.method:
            raise BenchError(HAS_NO_TEACHER)
        taught = replace(number, method=self._teacher_row.method, backbone=self._teacher)
        return self._runs(taught, "loyalty")

    def _task(self, number: Published) -> Task:
        task = self._known.declared.tasks.get(number.task)
        if task is None:
            raise BenchError(f"the task '{number.task}' is not here" if number.task else "no task")
        return with_source(task, number.task_source) if number.task_source else task

    def _stand_ins(self, number: Published, choice: Chosen) -> tuple[str, str]:
        """Return the student and the teacher, each empty where the method has none.

        Raises:
            BenchError: a model that is needed, and was not named.
        """
        needs = needing(choice.method, choice.settings).needs
        student = teacher = ""
        if "student" in needs:
            # The teacher's own row is trained as a student is.
            is_teacher = number.backbone == self._teacher and "teacher" not in needs
            student = self._teachers_model() if is_teacher else self._students_model()
        if "teacher" in needs:
            # What is made of a table's only model is made of its stand-in.
            is_only = not self._teacher and "student" not in needs
            teacher = self._students_model() if is_only else self._teachers_model()
        return student, teacher

    def _students_model(self) -> str:
        if not self._models.student:
            raise BenchError(NO_STUDENT)
        return self._models.student

    def _teachers_model(self) -> str:
        if not self._models.teacher:
            raise BenchError(NO_TEACHER)
        return self._models.teacher


def _teacher_row(table: PrintedTable) -> TeacherRow:
    """Return the name and the method of the row that prints the teacher itself."""
    for number in table.numbers:
        if "teacher" in number.row.casefold():
            return TeacherRow(number.row, number.method)
    return TeacherRow()


def teacher_of(table: PrintedTable) -> str:
    """Return the backbone of a table's teacher, by its notes or its rows; empty if it has none."""
    for number in table.numbers:
        noted = re.search(r"(?:teacher|distilled from) ([\w.-]+)", number.note)
        if noted:
            return noted[1]
    rows = (number.backbone for number in table.numbers if "teacher" in number.row.lower())
    return next(rows, TEACHERS.get((table.paper, table.table), ""))


def _check_fit(number: Published, choice: Chosen, task: Task, how: How) -> None:
    """Refuse a task that the method does not take, and a metric that the task does not have."""
    if task.kind not in choice.method.kinds:
        raise BenchError(f"method '{choice.method.name}' takes no {task.kind} task")
    if how == "score" and number.metric not in (task.metric, *task.metrics):
        raise BenchError(f"the task '{task.name}' is not scored by {number.metric} here")


def _remark(number: Published) -> str:
    """Say how a number differs from a run of ours in what was measured."""
    notes = [note for note in number.notes if not re.match(r"teacher \S+$|$", note)]
    texts = [HIDDEN if note in HIDDEN_NOTES else note for note in notes]
    if not number.task_source:
        texts.append(UNSTATED)
    return "; ".join(texts)
