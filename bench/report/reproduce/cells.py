"""A printed table as planned: each number with the runs that would make it, or why none would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from fewbench.data.metrics import BOUNDS
from fewbench.report.published import Published
from fewbench.report.reproduce.tables import PrintedTable

How = Literal["score", "average", "loyalty", "attack", "cost", "none"]
"""How a number is had: a test score, a mean of the row's scores, a measurement of a run, or not."""

AVERAGED = (*BOUNDS, "unstated")
"""The metrics that a table's means are over."""

NO_PARTS = "a mean of numbers of which some cannot be had"
NOT_ASKED = "a mean of numbers of which some were not asked for"
NO_RUN = "no run of this row can be had"


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

    `teacher` holds the runs that a loyalty is to, where its own runs have no teacher. `reason` says
    why it cannot be had, `remark` how theirs differs from ours in what was measured.
    """

    number: Published
    how: How
    runs: CellRuns | None = None
    teacher: CellRuns | None = None
    reason: str = ""
    remark: str = ""

    def refused(self, reason: str) -> PlannedCell:
        """Return the cell as one that cannot be had."""
        return self._replace(how="none", runs=None, teacher=None, reason=reason, remark="")


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
    def methods(self) -> tuple[str, ...]:
        """The methods of ours with their settings, which may differ by task; there may be none."""
        return tuple(dict.fromkeys(filter(None, (cell.number.method for cell in self.cells))))

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
        """The runs of all rows, and those that their loyalties are to, each once."""
        runs = [run for cell in self.cells for run in (cell.runs, cell.teacher) if run is not None]
        return tuple(dict.fromkeys(runs))

    @property
    def counts(self) -> Counter[How]:
        """The number of cells by how they are had."""
        return Counter(cell.how for cell in self.cells)

    def refusing(self, problems: Mapping[CellRuns, str]) -> TablePlan:
        """Return the plan without some runs, whose cells say why."""
        rows = []
        for row in self.rows:
            cells = []
            for cell in row.cells:
                needed = [run for run in (cell.runs, cell.teacher) if run is not None]
                found = [problems[run] for run in needed if run in problems]
                cells.append(cell.refused(found[0]) if found else cell)
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
