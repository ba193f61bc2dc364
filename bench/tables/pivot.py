"""Tables by choice of rows and columns: a flat list of cells in, grids of text out.

What is neither in the rows nor in the columns and varies makes tables of its own; so do a limit and left-out leaks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fewbench.errors import BenchError
from fewbench.tables.blocks import Block, Column, Row, worst_first
from fewbench.tables.grid import Grid, Text, places

AXES = ("task", "method", "student", "k", "protocol")
ROWS, COLUMNS = ("method", "student"), ("task",)

Explain = Callable[[str, Column], bool]
"""Whether a method takes a task at all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of a table, ours or a published one; `mean`, `std` and `median` are in hundredths, None where unknown.

    A published one names its `source` (a paper's table) and, in `mark`, what is not as in ours; it stands in a row of
    its own and is never best.
    """

    row: Row
    column: Column
    k: int
    protocol: str
    limit: int | None = None
    drop_leaks: bool = False
    ddof: int = 0
    mean: float | None = None
    std: float | None = None
    median: float | None = None
    n: int | None = 0
    failed: int = 0
    stale: int = 0
    source: str = ""
    mark: str = ""

    def axis(self, name: str) -> Any:
        """Return where the cell lies on an axis, as something that can be sorted and compared."""
        if name == "task":
            return self.column
        if name == "method":
            return (self.row.method, self.row.teacher, self.source, self.mark)
        return self.row.student if name == "student" else getattr(self, name)


def entries(blocks: Iterable[Block]) -> list[Entry]:
    """Return the cells of blocks one by one."""
    found = []
    for block in blocks:
        shared = (block.k, block.protocol, block.limit, block.drop_leaks, block.ddof)
        for (row, column), cell in block.cells.items():
            numbers: tuple[float | None, float | None, float | None] = (None, None, None)
            if cell.n:
                std = cell.std(block.ddof) if cell.n > 1 else None
                numbers = (100 * cell.mean, None if std is None else 100 * std, 100 * cell.median)
            found.append(Entry(row, column, *shared, *numbers, cell.n, cell.failed, cell.stale))
    return found


def check_axes(rows: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse axes that there are not, or one that is asked for twice.

    Raises:
        BenchError: such an axis, or none.
    """
    for option, names in (("--rows", rows), ("--columns", columns)):
        for name in names or [""]:
            if name not in AXES:
                raise BenchError(f"{option} is '{name}'", allowed=AXES, given=name, fix="--rows method --columns k")
    if twice := sorted(name for name in {*rows, *columns} if [*rows, *columns].count(name) > 1):
        raise BenchError(f"'{twice[0]}' is in the rows or columns twice", allowed=AXES, fix="--rows method --columns k")


def grids(
    cells: Iterable[Entry],
    rows: Sequence[str] = ROWS,
    columns: Sequence[str] = COLUMNS,
    *,
    median: bool = False,
    takes: Explain = lambda method, column: True,
) -> list[Grid]:
    """Return tables with these axes in rows and columns.

    Args:
        cells: ours and published ones.
        rows: names of axes; those with one value in a table go to its caption.
        columns: names of axes.
        median: whether the median is shown after mean and std.
        takes: whether a method takes a task; a missing cell is explained by it.
    """
    apart = ["protocol", "k", *(name for name in AXES if name not in ("protocol", "k"))]
    apart = [*(name for name in apart if name not in (*rows, *columns)), "limit", "drop_leaks"]
    tables: dict[tuple[Any, ...], list[Entry]] = {}
    for cell in cells:
        tables.setdefault(tuple(cell.axis(name) for name in apart), []).append(cell)
    ordered = sorted(tables, key=lambda place: [(value is not None, value) for value in place])
    return [_Table(tables[place], rows, columns, median, takes).grid() for place in ordered]


class _Table:
    """One table: cells that differ in the axes of its rows and columns alone."""

    def __init__(
        self, cells: Sequence[Entry], rows: Sequence[str], columns: Sequence[str], median: bool, takes: Explain
    ) -> None:
        self.median, self.takes = median, takes
        self.students = sorted({cell.row.student for cell in cells if cell.row.student and not cell.source})
        many = {name for name in AXES if len({cell.axis(name) for cell in cells}) > 1}
        many -= {"student"} if len(self.students) < 2 else set()
        self.rows = [name for name in rows if name in many] or [*rows[:1]]
        self.columns = [name for name in columns if name in many] or [*columns[:1]]
        self.some = cells[0]
        self.cells = {(self._key(cell, self.rows), self._key(cell, self.columns)): cell for cell in cells}
        self.down = self._worst_first() if "method" in self.rows else sorted({down for down, _ in self.cells})
        self.across = sorted({across for _, across in self.cells})
        self.tasks = sorted({cell.column for cell in cells})
        counts = {cell.n for cell in cells if cell.n and not cell.source}
        self.n = next(iter(counts)) if len(counts) == 1 else None
        order = ((down, across) for down in self.down for across in self.across)
        shown = (self.cells[place] for place in order if place in self.cells)
        said = dict.fromkeys(f"{cell.source}: {cell.mark}" for cell in shown if cell.source)
        self.marks = {text: f" ‡{number}" for number, text in enumerate(said, 1)}

    def grid(self) -> Grid:
        """Return it as text."""
        ranked = self._places()
        averages = [self._average(down) for down in self.down] if self.columns == ["task"] else []
        with_average = any(average is not None for average in averages)
        header = [*self.rows, *(self._head(across, self.columns) for across in self.across)]
        body = []
        for number, down in enumerate(self.down):
            line = [Text(self._label(down, place)) for place in range(len(self.rows))]
            for across in self.across:
                cell = self.cells.get((down, across))
                text = self._missing(down, across) if cell is None else self._text(cell)
                line.append(Text(text, ranked.get((down, across), 0)))
            if with_average:
                average = averages[number]
                line.append(Text("–" if average is None else f"{average:.1f}"))
            body.append(line)
        return Grid(self._caption(), [*header, *["average"] * with_average], body, self._notes(body), len(self.rows))

    def _key(self, cell: Entry, axes: Sequence[str]) -> tuple[Any, ...]:
        return tuple(cell.axis(name) for name in axes)

    def _worst_first(self) -> list[tuple[Any, ...]]:
        """Return our rows, the best last, each followed by what papers print for its method."""
        at = self.rows.index("method")
        ours = worst_first((down, cell.mean) for (down, _), cell in self.cells.items() if not cell.source)
        last = {down[at][0]: down for down in ours}
        behind: dict[str, list[tuple[Any, ...]]] = {}
        for down in sorted({down for (down, _), cell in self.cells.items() if cell.source}):
            behind.setdefault(down[at][0], []).append(down)
        rows = []
        for down in ours:
            rows += [down, *(behind.pop(down[at][0], []) if last[down[at][0]] == down else [])]
        return [*rows, *(down for alone in behind.values() for down in alone)]

    def _places(self) -> dict[tuple[Any, Any], int]:
        """Return which of our cells are best and second best among those that differ in method and student alone."""
        groups: dict[tuple[Any, ...], list[tuple[Any, Any]]] = {}
        for place, cell in self.cells.items():
            if cell.mean is not None and not cell.source:
                groups.setdefault((cell.column, cell.k, cell.protocol), []).append(place)
        found: dict[tuple[Any, Any], int] = {}
        for members in groups.values():
            found.update(zip(members, places([self.cells[place].mean for place in members]), strict=True))
        return found

    def _average(self, down: tuple[Any, ...]) -> float | None:
        """Return the mean over all columns, or None where a cell is missing or has failed runs."""
        row = [self.cells.get((down, across)) for across in self.across]
        whole = [cell.mean for cell in row if cell is not None and cell.mean is not None and not cell.failed]
        return math.fsum(whole) / len(whole) if len(whole) == len(self.across) > 1 else None

    def _label(self, down: tuple[Any, ...], place: int) -> str:
        return self._head((down[place],), [self.rows[place]]).replace("\n", " ")

    def _head(self, values: tuple[Any, ...], axes: Sequence[str]) -> str:
        return "\n".join(self._name(name, value) for name, value in zip(axes, values, strict=True))

    def _name(self, axis: str, value: Any) -> str:
        if axis == "task":
            return _task(value, self.tasks)
        if axis == "method":
            method, teacher, source, mark = value
            return f"{method}{f' < {teacher}' if teacher else ''}{self.marks.get(f'{source}: {mark}', '')}"
        return f"K={value}" if axis == "k" else str(value) or "no student"

    def _text(self, cell: Entry) -> str:
        failed = f"{cell.failed} failed" if cell.failed else ""
        if cell.mean is None:
            return failed
        text = f"{cell.mean:.1f}" + ("" if cell.std is None else f" ±{cell.std:.1f}")
        text += f" [{cell.median:.1f}]" if self.median and cell.median is not None else ""
        text += "†" if cell.stale else ""
        return " ".join(filter(None, [text, "" if self.n or cell.n is None else f"({cell.n})", failed]))

    def _missing(self, down: tuple[Any, ...], across: tuple[Any, ...]) -> str:
        known = dict(zip([*self.rows, *self.columns], [*down, *across], strict=True))
        column = known.get("task", self.some.column)
        method = known.get("method", self.some.axis("method"))
        return "–" if method[2] or self.takes(method[0], column) else "×"

    def _caption(self) -> str:
        some, seen = self.some, {*self.rows, *self.columns}
        shown = [f"{self._name(name, some.axis(name))}" for name in ("k", "protocol") if name not in seen]
        shown += [
            self._name(name, some.axis(name)).replace("\n", " ") for name in ("task", "method") if name not in seen
        ]
        shown += [f"student {self.students[0]}"] if len(self.students) == 1 else []
        stats = "mean ± std [median]" if self.median else "mean ± std"
        seeds = f"over n={self.n} split seeds" if self.n else "(n split seeds)"
        caption = " · ".join([*shown, f"{stats} {seeds}, ddof={some.ddof}"])
        if some.limit:
            caption += f" · a draw of {some.limit} test rows only: NOT COMPARABLE"
        if some.drop_leaks:
            caption += " · without test rows that stand in train or dev: NOT COMPARABLE with scores on all rows"
        return caption

    def _notes(self, body: Sequence[Sequence[Text]]) -> list[str]:
        start, end = len(self.rows), len(self.rows) + len(self.across)  # the average is no run
        shown = {cell.text for line in body for cell in line[start:end]}
        cells = self.cells.values()
        notes = {
            "– no run stored: bench run with that method and task": "–" in shown,
            "× the method takes no task of this kind (bench ls methods)": "×" in shown,
            "† made by an older version of the method's code: bench run --force redoes it": any(c.stale for c in cells),
            "failed runs: bench run --retry-failed redoes them, bench show KEY says why": any(c.failed for c in cells),
            "# tells runs apart that were made from other rows, definitions or protocol constants, or do not say": len(
                {_named(column) for column in self.tasks}
            )
            < len(self.tasks),
        }
        return [
            *(text for text, holds in notes.items() if holds),
            *(f"{mark.strip()} {text}" for text, mark in self.marks.items()),
        ]


def _task(column: Column, columns: Sequence[Column]) -> str:
    """Return a task's name as a header of three lines, or more: what tells twins apart."""
    twins = [other for other in columns if _named(other) == _named(column)]
    mark = f"\n#{column.asked[:6]}" if len(twins) > 1 else ""
    template = f"\n+{column.template}" if column.template else ""
    return f"{column.task}\n@{column.source}{template}{mark}\n{column.headline}"


def _named(column: Column) -> tuple[str, str, str]:
    return column.task, column.source, column.template
