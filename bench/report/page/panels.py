"""Ranks of methods on tasks that all of them were run on, and what paired tests say of the first.

A panel is a block of cells, and either a declared suite or the tasks that rank the most scores.
Only rows with a sound score on every task of it are ranked; a method of several settings is ranked
once. Rows without a model (`majority`) are baselines, and have no rank. Tasks at chance
(`fewbench.report.compare.chance`) stand apart. A method counts as distinguishable from the first
only where `bench compare` says so (decision 014).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.report.compare.chance import ChanceTasks
from fewbench.report.compare.items import Labels
from fewbench.report.compare.rows import Comparison
from fewbench.report.compare.sides import Ranked, Side, ranking, versus_all
from fewbench.report.page.blocks import CellNumbers
from fewbench.report.page.data import PanelData, RankedRow, SuiteData, percent
from fewbench.report.tables.blocks import Block, CellPlace, Scores, TableRow
from fewbench.report.today import UNRECORDED
from fewbench.store.cell import TaskCell
from fewbench.store.record import Record
from fewbench.store.store import Store

SHARED = "all"
"""The name of the panel whose tasks are those that rank the most scores."""

TESTED = 60
"""The most rows of a panel that are compared with its first."""

RESAMPLES = 1000
"""Of items, for each comparison."""

_MOST_SETS = 80
"""The most sets of tasks whose intersections are tried."""


class Group(NamedTuple):
    """Rows that differ in their settings alone: a method, its student, and its teacher."""

    method: str
    student: str
    teacher: str


class PanelTasks(NamedTuple):
    """The cells that a panel ranks: a block's, of some tasks, of all models or of one."""

    block: Block
    name: str
    tasks: Sequence[TaskCell]
    student: str

    def place(self, row: TableRow) -> CellPlace:
        """Return the place of a row's first cell."""
        return CellPlace(self.block.terms, row, self.tasks[0])

    def means(self, row: TableRow) -> list[float]:
        """Return a row's mean on each task."""
        return [self.block.cells[row, task].mean for task in self.tasks]


class Compared(NamedTuple):
    """A row beside the others: its comparison with the first, its wins and its rank, if known."""

    to_first: Comparison | None
    win_rate: float | None
    rank: float | None


class Judge:
    """Compares methods by the paired tests of `bench compare`.

    Args:
        store: of the records and their predictions.
        labels: the test labels; without them seeds alone are compared.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        self._store = store
        self._labels = labels

    def side(self, name: str, records: Sequence[Record]) -> Side:
        """Return records as a side of a comparison."""
        return Side(name, records, self._store)

    def against(self, first: Side, others: Sequence[Side]) -> dict[str, Comparison]:
        """Compare one method with others; return the comparison over tasks by the other's name."""
        if not others:
            return {}
        try:
            tables = versus_all(first, others, self._labels, RESAMPLES)
        except BenchError:  # nothing to pair: no verdict
            return {}
        return {table.second: table.overall or table.rows[0] for table in tables}


class Panels:
    """Makes the panels of blocks.

    Args:
        numbers: of blocks, rows and columns.
        records: those of each cell.
        methods: the bare name of each row's method.
        judge: compares the methods of a panel.
    """

    def __init__(
        self,
        numbers: CellNumbers,
        records: Mapping[CellPlace, Sequence[Record]],
        methods: Mapping[TableRow, str],
        judge: Judge,
    ) -> None:
        self._numbers = numbers
        self._methods = methods
        self._judge = judge
        self._records = records
        self._chance = ChanceTasks(record for some in records.values() for record in some)

    def data(self, blocks: Iterable[Block], suites: Iterable[SuiteData]) -> list[PanelData]:
        """Return the panels of all blocks: of the shared tasks, and of each complete suite."""
        suites = list(suites)
        panels: list[PanelData] = []
        for block in blocks:
            sound = _sound(block)
            for name, tasks in self._tasks(block, sound, suites):
                panels += self._of_students(block, name, tasks, sound)
        return panels

    def at_chance(self, block: Block, student: str = "") -> list[TaskCell]:
        """Return a block's tasks that are at chance for a student, or for all that it has."""
        names = self._chance.of([student] if student else _students(block.rows))
        trained = {column for row, column in block.cells if row.student}
        return [c for c in block.columns if c.task in names and c in trained]

    def chance_columns(self, block: Block, student: str = "") -> list[int]:
        """Return the numbers of a block's columns that are at chance."""
        return [self._numbers.columns.index(task) for task in self.at_chance(block, student)]

    def _tasks(
        self,
        block: Block,
        sound: Mapping[TableRow, set[TaskCell]],
        suites: Iterable[SuiteData],
    ) -> Iterator[tuple[str, list[TaskCell]]]:
        """Yield the names and tasks of a block's panels."""
        if shared := self._shared(block, sound):
            yield SHARED, shared
        counts = Counter(task for tasks in self._held(sound) for task in tasks)
        for suite in suites:
            if members := suite_tasks(suite["tasks"], counts):
                yield suite["name"], members

    def _shared(
        self, block: Block, sound: Mapping[TableRow, set[TaskCell]], student: str = ""
    ) -> list[TaskCell]:
        """Return the tasks that rank the most scores of a student, or of all; none at chance."""
        chance = {*self.at_chance(block, student)}
        return shared_tasks(tasks - chance for tasks in self._held(sound, student))

    def _held(
        self, sound: Mapping[TableRow, set[TaskCell]], student: str = ""
    ) -> list[set[TaskCell]]:
        """Return the tasks of each group of a student, or of any that has a model."""
        groups: dict[Group, set[TaskCell]] = {}
        for row in _of_student(sound, student):
            known = groups.setdefault(self._group(row), sound[row])
            groups[self._group(row)] = max(known, sound[row], key=len)
        return [*groups.values()]

    def _of_students(
        self,
        block: Block,
        name: str,
        tasks: Sequence[TaskCell],
        sound: Mapping[TableRow, set[TaskCell]],
    ) -> Iterator[PanelData]:
        """Yield a panel of all models and, where it differs, one of each.

        Of one model the shared tasks are those that its own rows share.
        Tasks at chance stand apart: they are in no mean, and nobody needs them to be ranked.
        """
        seen: list[tuple[list[TableRow], list[TaskCell]]] = []
        for student in ["", *_students(sound)]:
            chance = self.at_chance(block, student)
            wanted = self._shared(block, sound, student) if name == SHARED else tasks
            above = [task for task in wanted if task not in chance]
            complete = _complete(block, above, sound)
            heads = self._heads(_of_student(complete, student))
            if heads and (heads, above) not in seen:
                seen.append((heads, above))
                baselines = [row for row in complete if not row.student]
                yield self._panel(PanelTasks(block, name, above, student), heads, baselines)

    def _group(self, row: TableRow) -> Group:
        entrant = row.entrant
        return Group(self._methods[row], row.student, f"{entrant.teacher} {entrant.corpus}")

    def _heads(self, rows: Iterable[TableRow]) -> list[TableRow]:
        """Return one row of each group: with default settings, or else the first by name."""
        groups: dict[Group, list[TableRow]] = {}
        for row in rows:
            groups.setdefault(self._group(row), []).append(row)
        heads = []
        for group, members in groups.items():
            heads.append(min(members, key=lambda row: (row.method != group.method, row)))
        return heads

    def _panel(
        self, of: PanelTasks, heads: Sequence[TableRow], baselines: Sequence[TableRow]
    ) -> PanelData:
        order = sorted(heads, key=lambda row: (-fmean(of.means(row)), row))
        sides = [self._side(of, row) for row in order]
        verdicts = self._judge.against(sides[0], sides[1 : TESTED + 1])
        ranked = ranking(sides)
        wins = _win_rates([of.means(row) for row in order])
        known = _ranks(ranked)
        rows = []
        for row, side, won in zip(order, sides, wins, strict=True):
            compared = Compared(verdicts.get(side.name), won, known.get(side.name))
            rows.append(_ranked_row(self._row(of, row), of.means(row), compared))
        rows[0] = rows[0]._replace(verdict="first")
        critical, tasks, friedman = _test_of_ranks(ranked)
        return {
            "block": self._numbers.of(of.place(order[0])).block,
            "suite": of.name,
            "student": of.student,
            "columns": [self._numbers.columns.index(task) for task in of.tasks],
            "chance": self.chance_columns(of.block, of.student),
            "rows": rows,
            "baselines": [(self._row(of, row), _hundredths(of.means(row))) for row in baselines],
            "critical": critical,
            "ranked_tasks": tasks,
            "friedman": friedman,
            "why_no_ranks": ranked.why_none,
            "by_items": bool(verdicts) and all(one.items for one in verdicts.values()),
        }

    def _side(self, of: PanelTasks, row: TableRow) -> Side:
        records: list[Record] = []
        for task in of.tasks:
            records += self._records[CellPlace(of.block.terms, row, task)]
        return self._judge.side(str(self._row(of, row)), records)

    def _row(self, of: PanelTasks, row: TableRow) -> int:
        return self._numbers.of(of.place(row)).row


def _students(rows: Iterable[TableRow]) -> list[str]:
    return sorted({row.student for row in rows if row.student})


def _complete(
    block: Block, tasks: Sequence[TaskCell], sound: Mapping[TableRow, set[TaskCell]]
) -> list[TableRow]:
    """Return the rows of a block that have all of some tasks; none if there are no tasks."""
    return [row for row in block.rows if tasks and {*tasks} <= sound.get(row, set())]


def _of_student(rows: Iterable[TableRow], student: str) -> list[TableRow]:
    """Return the rows of a student, or those of any if it has no name."""
    return [row for row in rows if row.student and student in ("", row.student)]


def _test_of_ranks(ranked: Ranked) -> tuple[float | None, int, float | None]:
    """Return the critical difference of ranks, the number of tasks, and Friedman's p."""
    found = ranked.ranking
    return (
        (None, 0, None)
        if found is None
        else (round(found.critical, 2), found.tasks, found.friedman)
    )


def _ranks(ranked: Ranked) -> dict[str, float]:
    found = ranked.ranking
    return {} if found is None else dict(zip(found.methods, found.ranks, strict=True))


def _ranked_row(number: int, means: Sequence[float], compared: Compared) -> RankedRow:
    found = compared.to_first
    return RankedRow(
        row=number,
        average=_hundredths(means),
        verdict=_verdict(found),
        difference=None if found is None else percent(-found.difference),
        low=None if found is None else _known(-100 * found.high, 2),
        high=None if found is None else _known(-100 * found.low, 2),
        p=None if found is None else _known(found.holm, 4),
        pairs=0 if found is None else found.pairs,
        win_rate=None if compared.win_rate is None else round(100 * compared.win_rate, 1),
        average_rank=None if compared.rank is None else round(compared.rank, 2),
    )


def _verdict(found: Comparison | None) -> str:
    """Say whether a row is distinguishable from the first, which it is compared with."""
    if found is None or found.verdict == "too few seeds":
        return "open"
    return "same" if found.verdict == "not significant" else "apart"


def _known(value: float, digits: int) -> float | None:
    """Return a rounded number; None for nan, which stands for what cannot be known."""
    return None if math.isnan(value) else round(value, digits)


def _hundredths(means: Sequence[float]) -> float:
    return round(100 * fmean(means), 2)


def _win_rates(means: Sequence[Sequence[float]]) -> list[float | None]:
    """Return each row's share of the tasks and other rows that it beats; a tie is half a win."""
    rates: list[float | None] = []
    for place, mine in enumerate(means):
        points = []
        for theirs in [*means[:place], *means[place + 1 :]]:
            for one, other in zip(mine, theirs, strict=True):
                points.append(0.5 if round(one - other, 9) == 0 else float(one > other))
        rates.append(fmean(points) if points else None)
    return rates


def _sound(block: Block) -> dict[TableRow, set[TaskCell]]:
    """Return the tasks of each row on which it has a score of today's question, and no failure."""
    sound: dict[TableRow, set[TaskCell]] = {}
    for (row, column), cell in block.cells.items():
        if is_sound(cell):
            sound.setdefault(row, set()).add(column)
    return sound


def is_sound(cell: Scores) -> bool:
    """True if a cell has a score, none of its runs failed or is double, and none is outdated."""
    outdated = [part for part in cell.changed if part != UNRECORDED]
    return bool(cell.n) and not (cell.failed or cell.doubled or outdated)


def shared_tasks(rows: Iterable[set[TaskCell]]) -> list[TaskCell]:
    """Return the tasks that rank the most scores: rows that have them all, times tasks.

    Where it is the same, more rows count. A single task is taken only where no two rows share two.

    Args:
        rows: the tasks of each row.
    """
    counts = Counter(frozenset(tasks) for tasks in rows)
    sets = sorted(counts, key=lambda tasks: (-counts[tasks] * len(tasks), sorted(tasks)))
    candidates = {*sets}
    for place, one in enumerate(sets[:_MOST_SETS]):
        candidates |= {one & other for other in sets[:place]}

    def size(tasks: Iterable[TaskCell]) -> tuple[bool, bool, int, int, list[TaskCell]]:
        chosen = frozenset(tasks)
        covered = sum(count for held, count in counts.items() if chosen <= held)
        is_shared = covered > 1
        is_many = is_shared and len(chosen) > 1
        return is_many, is_shared, covered * len(chosen), covered, sorted(chosen, reverse=True)

    candidates.discard(frozenset())
    return sorted(max(candidates, key=size)) if candidates else []


def suite_tasks(members: Sequence[str], counts: Mapping[TaskCell, int]) -> list[TaskCell]:
    """Return the task of each member of a suite, as most rows were run on it.

    Args:
        members: names of tasks, `sst-2` or `sst-2@glue`.
        counts: the number of rows with a score on each task.

    Returns:
        No task unless each member has one.
    """
    tasks = []
    for member in members:
        name, _, source = member.partition("@")
        fitting = []
        for task in counts:
            if task.task == name and source in ("", task.source) and not task.template:
                fitting.append(task)
        if not fitting:
            return []
        tasks.append(max(fitting, key=lambda task: (counts[task], task)))
    return tasks
