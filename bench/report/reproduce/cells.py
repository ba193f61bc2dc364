"""Map each number of a table to the runs that would make it, or to the reason why none would."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from fewbench.data.task_file import declared, with_source
from fewbench.data.train_size import is_full, parse_k
from fewbench.errors import BenchError
from fewbench.registry.methods import task_files
from fewbench.registry.protocols import FULL_PROTOCOL, check_fits, get_protocol
from fewbench.registry.settings import Chosen, choose_methods, methods_of
from fewbench.report.published import UNSTATED, Published, k_option
from fewbench.report.reproduce.tables import NEAREST, PrintedTable
from fewbench.types import Task

How = Literal["score", "average", "loyalty", "attack", "cost", "none"]
"""How a number is had: a test score, a mean of the row's scores, a measurement of a run, or not."""

METRICS_OF_RUNS = ("accuracy", "f1", "macro_f1", "mcc", "pearson", "spearman")

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
    "mrr": "facts are asked of a model, no method is trained: bench probe lama measures this",
    "train_minutes": "time on the paper's machine; bench show KEY tells a run's own",
    "peak_memory_gb": "memory on the paper's machine; bench show KEY tells a run's own",
}
"""Metrics that no run has, and why."""

AVERAGED = (*METRICS_OF_RUNS, "unstated")
"""The metrics that a table's means are over."""

NO_METHOD = "no method here does this"
NO_PARTS = "a mean of numbers of which some cannot be had"
NOT_ASKED = "a mean of numbers of which some were not asked for"
NO_RUN = "no run of this row can be had"
NO_STUDENT = "needs a student: --student MODEL"
NO_TEACHER = "needs a teacher: --teacher MODEL"
IS_TEACHER = "the teacher itself, which is loyal by definition"
HAS_NO_TEACHER = "its run has no teacher: bench loyalty TEACHER STUDENT compares any two runs"

TEACHERS = {("smash", "1"): "roberta-large"}
"""Teachers that only other tables of a paper name as such."""

HIDDEN = "theirs on GLUE's hidden test set, ours on its public development set"
HIDDEN_NOTES = ("GLUE test server", "test set")
"""Notes of numbers scored by GLUE's server, whose test labels nobody has."""


class StandIns(NamedTuple):
    """The models that stand for a table's student and teacher, as typed; empty if not named."""

    student: str = ""
    teacher: str = ""


class CellRuns(NamedTuple):
    """The runs that a number stands for, one per seed, in the words of `bench run`.

    `k` is empty where the protocol's counts, `template` where the prompt is the task's own.
    """

    method: str
    task: str
    template: str
    k: str
    protocol: str
    student: str
    teacher: str


class PlannedCell(NamedTuple):
    """A printed number, how it is had here, and the runs that it takes.

    `reason` says why it cannot be had, `remark` how theirs differs from ours in what was measured.
    """

    number: Published
    how: How
    runs: CellRuns | None = None
    reason: str = ""
    remark: str = ""

    def refused(self, reason: str) -> PlannedCell:
        """Return the cell as one that cannot be had."""
        return self._replace(how="none", runs=None, reason=reason, remark="")


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A printed row: the numbers of one name, backbone and K."""

    cells: tuple[PlannedCell, ...]

    @property
    def first(self) -> Published:
        """Its first number, for what all of them share."""
        return self.cells[0].number

    @property
    def label(self) -> str:
        """Group and row as printed."""
        return ": ".join(filter(None, (self.first.group, self.first.row)))

    @property
    def method(self) -> str:
        """The method of ours, with its settings; empty where there is none."""
        return next(filter(None, (cell.number.method for cell in self.cells)), "")

    @property
    def had(self) -> int:
        """The number of its cells that can be had."""
        return sum(cell.how != "none" for cell in self.cells)

    @property
    def runs(self) -> tuple[CellRuns, ...]:
        """The runs of all its numbers, each once."""
        return tuple(dict.fromkeys(cell.runs for cell in self.cells if cell.runs is not None))

    def only(self, numbers: Sequence[Published]) -> PlannedRow:
        """Return the row's cells with some numbers; its mean needs all that it is over."""
        cells = [cell for cell in self.cells if cell.number in numbers]
        left = PlannedRow(tuple(cells))
        if len(left.parts()) < len(self.parts()):
            cells = [cell.refused(NOT_ASKED) if cell.how == "average" else cell for cell in cells]
        return PlannedRow(tuple(cells))

    def settled(self) -> PlannedRow:
        """Return the row with its means and costs planned by what is had of its other numbers."""
        return PlannedRow(tuple(self._settled(cell) for cell in self.cells))

    def _settled(self, cell: PlannedCell) -> PlannedCell:
        if cell.how == "average":
            missing = any(part.how == "none" for part in self.parts())
            return cell.refused(NO_PARTS) if missing or not self.parts() else cell
        if cell.how == "cost":
            return cell._replace(runs=self.runs[0]) if self.runs else cell.refused(NO_RUN)
        return cell

    def parts(self) -> list[PlannedCell]:
        """List the numbers that its mean is over."""
        return [cell for cell in self.cells if cell.number.metric in AVERAGED]


@dataclass(frozen=True, slots=True)
class TablePlan:
    """A table, the models that stand for its backbones, the protocol of its runs, and its rows.

    `of` counts the numbers of the whole table, of which the rows may be a part.
    """

    table: PrintedTable
    models: StandIns
    protocol: str
    rows: tuple[PlannedRow, ...]
    of: int

    @property
    def cells(self) -> list[PlannedCell]:
        """All cells of its rows."""
        return [cell for row in self.rows for cell in row.cells]

    @property
    def runs(self) -> tuple[CellRuns, ...]:
        """The runs of all rows, each once."""
        return tuple(dict.fromkeys(run for row in self.rows for run in row.runs))

    @property
    def counts(self) -> Counter[How]:
        """The number of cells by how they are had."""
        return Counter(cell.how for cell in self.cells)

    def refusing(self, problems: dict[CellRuns, str]) -> TablePlan:
        """Return the plan without some runs, whose cells say why."""
        rows = []
        for row in self.rows:
            cells = [
                cell.refused(problems[cell.runs]) if cell.runs in problems else cell
                for cell in row.cells
            ]
            rows.append(PlannedRow(tuple(cells)).settled())
        return replace(self, rows=tuple(rows))

    @property
    def other_protocols(self) -> list[str]:
        """Protocols of runs that the table's own does not fit."""
        names = dict.fromkeys(run.protocol for run in self.runs)
        return [name for name in names if name != self.protocol]

    def alike(self) -> list[list[PlannedRow]]:
        """List the rows that are the same runs here, though the paper's differ."""
        groups: dict[frozenset[CellRuns], list[PlannedRow]] = {}
        for row in self.rows:
            if row.runs:
                groups.setdefault(frozenset(row.runs), []).append(row)
        return [group for group in groups.values() if len(group) > 1]


class Known:
    """The methods and tasks of this installation, read once for many tables."""

    def __init__(self) -> None:
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
        except BenchError as error:
            return PlannedCell(number, "none", reason=error.problem)
        return PlannedCell(number, how, runs, remark=_remark(number))

    def _runs(self, number: Published, how: How) -> CellRuns:
        """Return the runs of a number.

        Raises:
            BenchError: there are none, and why.
        """
        choice = self._known.choice(number.method)
        task = self._task(number)
        _check_fit(number, choice, task, how)
        k = k_option(number.k)
        protocol = self._for_full if is_full(k) else self.protocol
        check_fits([parse_k(k)] if k else [], get_protocol(protocol))
        student, teacher = self._stand_ins(number, choice)
        if how == "loyalty" and "teacher" not in choice.method.needs:
            is_teacher = "teacher" in number.row.casefold()
            raise BenchError(IS_TEACHER if is_teacher else HAS_NO_TEACHER)
        place = number.method, task.full_name, number.template
        return CellRuns(*place, k, protocol, student, teacher)

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
        needs = choice.method.needs
        # The teacher's own row is trained as a student is.
        is_teacher = number.backbone == self._teacher and "teacher" not in needs
        student, teacher = self._models.teacher if is_teacher else self._models.student, ""
        if "student" in needs and not student:
            raise BenchError(NO_TEACHER if is_teacher else NO_STUDENT)
        if "teacher" in needs:
            teacher = self._models.teacher
            if not teacher:
                raise BenchError(NO_TEACHER)
        return student if "student" in needs else "", teacher


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
    notes = [note for note in number.note.split("; ") if not re.match(r"teacher \S+$|$", note)]
    texts = [HIDDEN if note in HIDDEN_NOTES else note for note in notes]
    if not number.task_source:
        texts.append(UNSTATED)
    return "; ".join(texts)
