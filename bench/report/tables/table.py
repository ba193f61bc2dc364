"""One table: cells that differ in the axes of its rows and columns alone, laid out and explained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fewbench.report.tables.blocks import worst_first
from fewbench.report.tables.entry import AXES, Entry
from fewbench.report.tables.grid import Grid, GridCell, places
from fewbench.report.tables.names import Names
from fewbench.report.today import UNRECORDED, earlier
from fewbench.store.cell import TaskCell

Explain = Callable[[str, TaskCell], bool]
"""Whether a method takes a task at all."""

STALE, CODES, DOUBLED = "†", "¶", "§"
OLD_CODE = f"{STALE} made by an older version of the method's code: bench run --force redoes it"
TWO_CODES = (
    f"{CODES} runs of different versions of the method's code: bench run --force redoes them"
)
FAILED = "failed runs: bench run --retry-failed redoes them, bench show KEY says why"
MOST = 3
"""Of runs that share cell and seed: so many are named below a table."""


class ResultTable:
    """Lays cells out.

    Args:
        cells: those of the table.
        rows: names of axes; those with one value go to the caption.
        columns: likewise.
        median: whether the median is shown after mean and std.
        takes: whether a method takes a task; a missing cell is explained by it.
        protocols: what to call a protocol, by its name and the hash of its constants.
    """

    def __init__(
        self,
        cells: Sequence[Entry],
        rows: Sequence[str],
        columns: Sequence[str],
        median: bool,
        takes: Explain,
        protocols: Mapping[tuple[str, str], str],
    ) -> None:
        self.median, self.takes, self.protocols = median, takes, protocols
        self.names = Names(
            _changed(cells, lambda cell: cell.column), _changed(cells, lambda cell: cell.row)
        )
        self.students = sorted({cell.row.student for cell in cells if cell.row.student})
        many = {name for name in AXES if len({cell.axis(name) for cell in cells}) > 1}
        many -= {"student"} if len(self.students) < 2 else set()
        self.rows = [name for name in rows if name in many] or [*rows[:1]]
        self.columns = [name for name in columns if name in many] or [*columns[:1]]
        self.some = cells[0]
        self.cells = {
            (self._key(cell, self.rows), self._key(cell, self.columns)): cell for cell in cells
        }
        self.down = (
            self._worst_first()
            if "method" in self.rows
            else sorted({down for down, _ in self.cells})
        )
        self.across = sorted({across for _, across in self.cells})
        self.averaged = self._averaged() if self.columns == ["task"] else []
        counts = {cell.n for cell in cells if cell.n and not cell.source}
        self.n = next(iter(counts)) if len(counts) == 1 else None
        order = ((down, across) for down in self.down for across in self.across)
        shown = (self.cells[place] for place in order if place in self.cells)
        said = dict.fromkeys(f"{cell.source}: {cell.mark}" for cell in shown if cell.source)
        self.marks = {text: f" ‡{number}" for number, text in enumerate(said, 1)}

    def grid(self) -> Grid:
        """Return it as text."""
        ranked = self._places()
        averages = [self._average(down) for down in self.down]
        with_average = any(average is not None for average in averages)
        header = [*self.rows, *(self._head(across, self.columns) for across in self.across)]
        body = []
        for down, average in zip(self.down, averages, strict=True):
            line = [GridCell(self._label(down, place)) for place in range(len(self.rows))]
            for across in self.across:
                cell = self.cells.get((down, across))
                text = self._missing(down, across) if cell is None else self._text(cell)
                line.append(GridCell(text, ranked.get((down, across), 0)))
            if with_average:
                line.append(GridCell("–" if average is None else f"{average:.1f}"))
            body.append(line)
        return Grid(
            self._caption(),
            [*header, *["average"] * with_average],
            body,
            self._notes(body),
            len(self.rows),
        )

    def _key(self, cell: Entry, axes: Sequence[str]) -> tuple[Any, ...]:
        return tuple(cell.axis(name) for name in axes)

    def _worst_first(self) -> list[tuple[Any, ...]]:
        """Return our rows, the best last, each method followed by what papers print for it."""
        at = self.rows.index("method")

        def method(down: tuple[Any, ...]) -> str:
            return str(down[at][0].method).partition(":")[0]

        ours = worst_first(
            (down, cell.mean) for (down, _), cell in self.cells.items() if not cell.source
        )
        last = {method(down): down for down in ours}
        behind: dict[str, list[tuple[Any, ...]]] = {}
        for down in sorted({down for (down, _), cell in self.cells.items() if cell.source}):
            behind.setdefault(method(down), []).append(down)
        rows = []
        for down in ours:
            rows += [down, *(behind.pop(method(down), []) if last[method(down)] == down else [])]
        return [*rows, *(down for alone in behind.values() for down in alone)]

    def _places(self) -> dict[tuple[Any, Any], int]:
        """Return which of our cells are best and second best among those that differ in method and
        student alone.
        """
        groups: dict[tuple[Any, ...], list[tuple[Any, Any]]] = {}
        for place, cell in self.cells.items():
            if cell.mean is not None and not cell.source:
                groups.setdefault((cell.column, cell.terms), []).append(place)
        found: dict[tuple[Any, Any], int] = {}
        for members in groups.values():
            found.update(
                zip(members, places([self.cells[place].mean for place in members]), strict=True)
            )
        return found

    def _averaged(self) -> list[tuple[Any, ...]]:
        """Return the columns that an average goes over: one a task, and none that is not of today
        if any is.
        """
        of_today = [
            across
            for across in self.across
            if across[0] not in self.names.earlier and across[0].known
        ]
        unrecorded = [across for across in self.across if not across[0].known]
        chosen = of_today or unrecorded or self.across
        return chosen if len({across[0].name for across in chosen}) == len(chosen) > 1 else []

    def _average(self, down: tuple[Any, ...]) -> float | None:
        """Return the mean over the averaged columns, or None where a cell is missing or has runs
        that do not count.
        """
        row = [self.cells.get((down, across)) for across in self.averaged]
        whole = [
            cell.mean
            for cell in row
            if cell is not None and cell.mean is not None and not cell.failed and not cell.doubled
        ]
        return math.fsum(whole) / len(whole) if len(whole) == len(self.averaged) > 0 else None

    def _label(self, down: tuple[Any, ...], place: int) -> str:
        return self._head((down[place],), [self.rows[place]]).replace("\n", " ")

    def _head(self, values: tuple[Any, ...], axes: Sequence[str]) -> str:
        return "\n".join(self._name(name, value) for name, value in zip(axes, values, strict=True))

    def _name(self, axis: str, value: Any) -> str:
        if axis == "task":
            return "\n".join(self.names.column(value).lines)
        if axis == "method":
            row, source, mark = value
            return f"{self.names.row(row)}{self.marks.get(f'{source}: {mark}', '')}"
        if axis == "protocol":
            return self.protocols[value]
        return f"K={value}" if axis == "k" else str(value) or "no student"

    def _text(self, cell: Entry) -> str:
        failed = f"{cell.failed} failed" if cell.failed else ""
        signs = STALE * bool(cell.stale) + CODES * cell.several_codes + DOUBLED * bool(cell.doubled)
        if cell.mean is None:
            return " ".join(filter(None, [f"–{signs}" if cell.doubled else "", failed]))
        text = f"{cell.mean:.1f}" + ("" if cell.std is None else f" ±{cell.std:.1f}")
        text += f" [{cell.median:.1f}]" if self.median and cell.median is not None else ""
        text += signs
        return " ".join(
            filter(None, [text, "" if self.n or cell.n is None else f"({cell.n})", failed])
        )

    def _missing(self, down: tuple[Any, ...], across: tuple[Any, ...]) -> str:
        known = dict(zip([*self.rows, *self.columns], [*down, *across], strict=True))
        column = known.get("task", self.some.column)
        row, source, _ = known.get("method", self.some.axis("method"))
        return "–" if source or self.takes(row.method, column) else "×"

    def _caption(self) -> str:
        some, seen = self.some, {*self.rows, *self.columns}
        order = ("k", "protocol", "task", "method")
        shown = [
            self._name(name, some.axis(name)).replace("\n", " ")
            for name in order
            if name not in seen
        ]
        shown += [f"student {self.students[0]}"] if len(self.students) == 1 else []
        stats = "mean ± std [median]" if self.median else "mean ± std"
        seeds = f"over n={self.n} split seeds" if self.n else "(n split seeds)"
        caption = " · ".join([*shown, f"{stats} {seeds}, ddof={some.ddof}"])
        if some.terms.limit:
            caption += f" · a draw of {some.terms.limit} test rows only: NOT COMPARABLE"
        if some.terms.drop_leaks:
            caption += " · without test rows that stand in train or dev: NOT COMPARABLE with scores on all rows"
        return caption

    def _notes(self, body: Sequence[Sequence[GridCell]]) -> list[str]:
        start, end = len(self.rows), len(self.rows) + len(self.across)  # the average is no run
        shown = {cell.text for line in body for cell in line[start:end]}
        cells = self.cells.values()
        parts = dict.fromkeys(part for cell in cells for part in cell.changed)
        known = [part for part in parts if part != UNRECORDED]
        notes = {
            "– no run stored: bench run with that method and task": "–" in shown,
            "× the method takes no task of this kind (bench ls methods)": "×" in shown,
            OLD_CODE: any(cell.stale for cell in cells),
            TWO_CODES: any(cell.several_codes for cell in cells),
            FAILED: any(cell.failed for cell in cells),
            f"(not recorded): runs that {earlier([UNRECORDED])}": UNRECORDED in parts,
            f"(earlier …): {earlier(known)}": bool(known),
        }
        return [
            *(text for text, holds in notes.items() if holds),
            *self.names.notes,
            *_doubled(cells),
            *(f"{mark.strip()} {text}" for text, mark in self.marks.items()),
        ]


def _changed(cells: Iterable[Entry], what: Callable[[Entry], Any]) -> dict[Any, set[str]]:
    """Return what is not of today, by row or column."""
    found: dict[Any, set[str]] = {}
    for cell in cells:
        found.setdefault(what(cell), set()).update(cell.changed)
    return found


def _doubled(cells: Iterable[Entry]) -> list[str]:
    """Return the note on seeds with several runs in one cell: none of them counts."""
    told = [
        f"{cell.row.method} on {cell.column.name} K={cell.terms.k}, seed {seed}: {' and '.join(k[:8] for k in keys)}"
        for cell in cells
        for seed, keys in cell.doubled
    ]
    if not told:
        return []
    more = f"; and {len(told) - MOST} more" if len(told) > MOST else ""
    head = (
        f"{DOUBLED} a seed with several runs counts in no mean (bench show KEY says what they are)"
    )
    return [f"{head}: {'; '.join(told[:MOST])}{more}"]
