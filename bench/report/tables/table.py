"""One table: cells that differ only in the axes of its rows and columns, with notes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from fewbench.data.train_size import k_title
from fewbench.report.tables.blocks import worst_first
from fewbench.report.tables.costs import COSTS, cost_notes, cost_texts
from fewbench.report.tables.entry import AXES, Entry, sortable
from fewbench.report.tables.grid import Grid, GridCell, places
from fewbench.report.tables.marks import failures, notes_on_doubled, notes_on_runs, signs
from fewbench.report.tables.names import Names
from fewbench.report.tables.order import OWN, Order, rank
from fewbench.store.cell import TaskCell, Terms

K = TypeVar("K", bound=Hashable)

Explain = Callable[[str, TaskCell], bool]
"""Says if a method takes a task at all."""

TAUGHT = "(teacher): the runs that taught others here, which are not ranked"

_BLANK = {"student": "no student", "teacher": "–", "template": OWN}
"""How an empty value of an axis is shown."""

Key = tuple[Any, ...]
"""The place of a row or column: its value on each axis."""
Place = tuple[Key, Key]


class Look(NamedTuple):
    """The choice of medians and costs beside means and deviations."""

    median: bool = False
    costs: bool = False


class ResultTable:
    """Lays out the cells of one table.

    Args:
        cells: those of the table.
        rows: names of axes; those with one value go to the caption.
        columns: likewise.
        look: what to show beside means.
        takes: says if a method takes a task, to explain a missing cell.
        protocols: the name of each protocol, by its own name and the hash of its constants.
        order: the values asked for on some axes, in their order.
    """

    def __init__(
        self,
        cells: Sequence[Entry],
        rows: Sequence[str],
        columns: Sequence[str],
        look: Look,
        takes: Explain,
        protocols: Mapping[tuple[str, str], str],
        order: Order,
    ) -> None:
        self.look, self.takes, self.protocols = look, takes, protocols
        self.names = Names(
            _changed(cells, lambda cell: cell.column), _changed(cells, lambda cell: cell.row)
        )
        self.students = _students(cells)
        varying = _varying(cells)
        ours = _students(cell for cell in cells if not cell.source)
        if len(self.students) < 2 and ours == self.students:
            varying.discard("student")
        self.rows = _laid_out(rows, varying)
        self.columns = _laid_out(columns, varying)
        self.some = cells[0]
        self.cells = {
            (self._key(cell, self.rows), self._key(cell, self.columns)): cell for cell in cells
        }
        self.down = self._down(order)
        self.across = self._across(order)
        self.counted = self._counted() if self.columns == ["task"] else []
        self.averaged = self._averaged()
        self.n, self.seeds = _usual_n(cells)
        self.marks = self._marks()

    def grid(self) -> Grid:
        """Return the table as texts."""
        ranked = self._places()
        header = [*self.rows, *(self._head(across, self.columns) for across in self.across)]
        body = [self._line(down, ranked) for down in self.down]
        grid = Grid(self._caption(), header, body, self._notes(body), len(self.rows))
        self._add_averages(grid)
        if self.look.costs:
            self._add_costs(grid)
        return grid

    def _add_averages(self, grid: Grid) -> None:
        """Add the column of averages, if a row has one."""
        averages = [self._average(down) for down in self.down]
        if all(average is None for average in averages):
            return
        grid.header.append("average")
        for line, average in zip(grid.rows, averages, strict=True):
            line.append(GridCell("–" if average is None else f"{average:.1f}"))

    def _add_costs(self, grid: Grid) -> None:
        """Add the columns of costs, over the tasks that count; published numbers have none."""
        costs: list[list[str]] = []
        for down in self.down:
            costs.append(cost_texts([self.cells.get((down, across)) for across in self.counted]))
        grid.header.extend(column.title for column in COSTS.values())
        for line, texts in zip(grid.rows, costs, strict=True):
            line += map(GridCell, texts)
        grid.notes.extend(cost_notes(self.cells.values(), costs))

    def _line(self, down: Key, ranked: Mapping[Place, int]) -> list[GridCell]:
        line = [GridCell(self._label(down, place)) for place in range(len(self.rows))]
        for across in self.across:
            cell = self.cells.get((down, across))
            text = self._missing(down, across) if cell is None else self._text(cell)
            line.append(GridCell(text, ranked.get((down, across), 0)))
        return line

    def _key(self, cell: Entry, axes: Sequence[str]) -> Key:
        return tuple(cell.axis(name) for name in axes)

    def _down(self, order: Order) -> list[Key]:
        """Return our rows in the order asked for; else teachers first, and methods worst first."""
        if "method" in self.rows:
            keys = self._worst_first()
        else:
            keys = sorted({down for down, _ in self.cells}, key=self._row_order)
        taught = {down for (down, _), cell in self.cells.items() if cell.row.role}
        return sorted(keys, key=lambda key: [key not in taught, *_ranks(order, self.rows, key)])

    def _row_order(self, down: Key) -> list[Any]:
        return sortable(self.rows, down)

    def _across(self, order: Order) -> list[Key]:
        """Return our columns in the order asked for."""
        keys = sorted(
            {across for _, across in self.cells},
            key=lambda across: sortable(self.columns, across),
        )
        return sorted(keys, key=lambda key: _ranks(order, self.columns, key))

    def _marks(self) -> dict[str, str]:
        """Number the sources of published cells, in the order of the table."""
        marks: dict[str, str] = {}
        for down in self.down:
            for across in self.across:
                cell = self.cells.get((down, across))
                if cell is not None and cell.source:
                    marks.setdefault(f"{cell.source}: {cell.mark}", f" ‡{len(marks) + 1}")
        return marks

    def _worst_first(self) -> list[Key]:
        """Sort our rows by mean, the best last, each method before its published numbers."""
        at = self.rows.index("method")

        def method(down: Key) -> str:
            return str(down[at][0].method).partition(":")[0]

        ours = worst_first(
            ((down, cell.mean) for (down, _), cell in self.cells.items() if not cell.source),
            self._row_order,
        )
        published: dict[str, list[Key]] = {}
        printed = {down for (down, _), cell in self.cells.items() if cell.source}
        for down in sorted(printed, key=self._row_order):
            published.setdefault(method(down), []).append(down)
        last_of_method = {method(down): down for down in ours}
        rows = []
        for down in ours:
            rows.append(down)
            if last_of_method[method(down)] == down:
                rows += published.pop(method(down), [])
        for without_ours in published.values():
            rows += without_ours
        return rows

    def _places(self) -> dict[Place, int]:
        """Rank our cells, but for teachers, among those that differ only in method and models."""
        groups: dict[tuple[TaskCell, str, Terms], list[Place]] = {}
        for place, cell in self.cells.items():
            if cell.mean is not None and not cell.source and not cell.row.role:
                groups.setdefault((cell.column, cell.template, cell.terms), []).append(place)
        ranked: dict[Place, int] = {}
        for members in groups.values():
            means = [self.cells[place].mean for place in members]
            ranked.update(zip(members, places(means), strict=True))
        return ranked

    def _counted(self) -> list[Key]:
        """Choose the tasks' columns that count in a row's figures: all of today, if any is."""
        of_today = [
            across
            for across in self.across
            if across[0] not in self.names.earlier and across[0].known
        ]
        unrecorded = [across for across in self.across if not across[0].known]
        return of_today or unrecorded or self.across

    def _averaged(self) -> list[Key]:
        """Choose the columns to average: one per task, and two or more."""
        names = {across[0].name for across in self.counted}
        return self.counted if len(names) == len(self.counted) > 1 else []

    def _average(self, down: Key) -> float | None:
        """Average a row; None if a cell is missing or has runs that do not count."""
        means = []
        for across in self.averaged:
            cell = self.cells.get((down, across))
            if cell is None or cell.mean is None or cell.failed or cell.doubled:
                return None
            means.append(cell.mean)
        return math.fsum(means) / len(means) if means else None

    def _label(self, down: Key, place: int) -> str:
        return self._head((down[place],), [self.rows[place]]).replace("\n", " ")

    def _head(self, values: Key, axes: Sequence[str]) -> str:
        return "\n".join(self._name(name, value) for name, value in zip(axes, values, strict=True))

    def _name(self, axis: str, value: Any) -> str:
        if axis == "task":
            return "\n".join(self.names.column(value).lines)
        if axis == "method":
            row, source, mark = value
            return f"{self.names.row(row)}{self.marks.get(f'{source}: {mark}', '')}"
        if axis == "protocol":
            return self.protocols[value]
        if axis == "k":
            return k_title(value)
        return str(value) or _BLANK.get(axis, "")

    def _text(self, cell: Entry) -> str:
        made, failed = signs(cell), failures(cell)
        if cell.mean is None:
            return " ".join(filter(None, [f"–{made}" if cell.doubled else "", failed]))
        text = f"{cell.mean:.1f}"
        if cell.std is not None:
            text += f" ±{cell.std:.1f}"
        if self.look.median and cell.median is not None:
            text += f" [{cell.median:.1f}]"
        n = "" if cell.n in (None, self.n) else f"({cell.n})"
        return " ".join(filter(None, [text + made + cell.sign, n, failed]))

    def _missing(self, down: Key, across: Key) -> str:
        known = dict(zip([*self.rows, *self.columns], [*down, *across], strict=True))
        column = known.get("task", self.some.column)
        row, source, _ = known.get("method", self.some.axis("method"))
        return "–" if source or self.takes(row.method, column) else "×"

    def _caption(self) -> str:
        some = self.some
        parts = [*self._shared()]
        stats = "mean ± std [median]" if self.look.median else "mean ± std"
        parts.append(f"{stats} {self.seeds}, ddof={some.ddof}")
        if some.terms.arithmetic:
            parts.append(f"computed in {some.terms.arithmetic}")
        if some.terms.limit:
            parts.append(f"a draw of {some.terms.limit} test rows only: NOT COMPARABLE")
        if some.terms.drop_leaks:
            parts.append(
                "without test rows that stand in train or dev: "
                "NOT COMPARABLE with scores on all rows"
            )
        return " · ".join(parts)

    def _shared(self) -> Iterator[str]:
        """Yield what all cells share, of the axes that are neither in rows nor in columns."""
        laid_out = {*self.rows, *self.columns}
        for name in ("k", "protocol", "task", "method"):
            if name not in laid_out:
                yield self._name(name, self.some.axis(name)).replace("\n", " ")
        if len(self.students) == 1 and "student" not in laid_out:
            yield f"student {self.students[0]}"
        for name in ("teacher", "template"):  # empty where it is no axis of the table
            if name not in laid_out and self.some.axis(name):
                yield f"{name} {self.some.axis(name)}"

    def _notes(self, body: Sequence[Sequence[GridCell]]) -> list[str]:
        start, end = len(self.rows), len(self.rows) + len(self.across)  # the average is no run
        texts = {cell.text for line in body for cell in line[start:end]}
        cells = self.cells.values()
        notes = []
        if "–" in texts:
            notes.append("– no run stored: bench run with that method and task")
        if "×" in texts:
            notes.append("× the method takes no task of this kind (bench ls methods)")
        if any(cell.row.role for cell in cells):
            notes.append(TAUGHT)
        notes += notes_on_runs(cells)
        notes += self.names.notes
        notes += notes_on_doubled(cells)
        notes += [f"{mark.strip()} {text}" for text, mark in self.marks.items()]
        return notes


def _laid_out(axes: Sequence[str], varying: Collection[str]) -> list[str]:
    """Return the axes on which cells differ, or the first where there is none."""
    return [name for name in axes if name in varying] or [*axes[:1]]


def _ranks(order: Order, axes: Sequence[str], key: Key) -> list[int]:
    """Return the place of a row or column in the order asked for; a sort by it keeps ties."""
    return [rank(order, axis, value) for axis, value in zip(axes, key, strict=True)]


def _varying(cells: Iterable[Entry]) -> set[str]:
    """Return the axes on which cells differ."""
    values: dict[str, set[Any]] = {name: set() for name in AXES}
    for cell in cells:
        for name in AXES:
            values[name].add(cell.axis(name))
    return {name for name in AXES if len(values[name]) > 1}


def _students(cells: Iterable[Entry]) -> list[str]:
    """Return the students of some cells; a row without one, as of `majority`, adds none."""
    return sorted({cell.row.student for cell in cells if cell.row.student})


def _usual_n(cells: Iterable[Entry]) -> tuple[int | None, str]:
    """Return the number of seeds that most of our cells have, and what a caption says of it."""
    counts = Counter(cell.n for cell in cells if cell.n and not cell.source)
    if not counts:
        return None, "(n split seeds)"
    usual = max(counts, key=lambda n: (counts[n], n))
    return usual, f"over n={usual} split seeds" + (" or (n)" if len(counts) > 1 else "")


def _changed(cells: Iterable[Entry], key: Callable[[Entry], K]) -> dict[K, set[str]]:
    """Collect the inputs that are not of today, by row or column."""
    changed: dict[K, set[str]] = {}
    for cell in cells:
        changed.setdefault(key(cell), set()).update(cell.changed)
    return changed
