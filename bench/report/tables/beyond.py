"""Tables of measurements: a row per method on a task, with its score, loyalty, cost and attacks.

Figures are means over split seeds. A measurement counts only if it fits its record
(`fewbench.store.measurement`), and a row says how many of its runs have each figure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from fewbench.data.train_size import k_title
from fewbench.report.preset_names import with_preset
from fewbench.report.tables.blocks import (
    CellPlace,
    Changed,
    arrange,
    nothing_changed,
    worst_first,
)
from fewbench.report.tables.blocks import places as places_of
from fewbench.report.tables.entry import Entry, entries
from fewbench.report.tables.grid import Grid, GridCell, places
from fewbench.report.tables.marks import (
    doubled_as_text,
    failures,
    notes_on_doubled,
    notes_on_int8,
    notes_on_runs,
    signs,
)
from fewbench.report.tables.measures import (
    FIRST,
    FIRST_ROWS,
    figures,
    in_order,
    kinds_of,
    loyalties,
    named,
)
from fewbench.report.tables.names import Names, protocol_names, telling
from fewbench.store.cell import Terms
from fewbench.store.measurement import Shelf
from fewbench.store.record import Record
from fewbench.store.seed_runs import SeedRuns
from fewbench.store.store import Store
from fewbench.types import Json, K


class Value(NamedTuple):
    """A mean over those runs of a row that have the figure, and their number."""

    mean: float
    n: int
    digits: int


class MeasuredRow(NamedTuple):
    """A method on a task, by the names that a table shows: its cell, and `values` by column's name.

    The cell says how many runs count, and how they were made.
    """

    task: str
    k: K
    protocol: str
    method: str
    student: str
    cell: Entry
    values: Mapping[str, Value]

    @property
    def n(self) -> int:
        """The number of runs that count."""
        return self.cell.n or 0

    def facts(self) -> Json:
        """Return all but the values as plain values, named as those of the other tables."""
        return {
            "task": self.task,
            "k": self.k,
            "protocol": self.protocol,
            "method": self.method,
            "student": self.student,
            "n": self.n,
            "failed": self.cell.failed,
            "stale": self.cell.stale,
            "several_codes": self.cell.several_codes,
            "doubled": doubled_as_text(self.cell.doubled),
            "not_of_today": list(self.cell.changed),
        }


def columns(rows: Iterable[MeasuredRow]) -> list[str]:
    """Return the names of all columns that some rows have, in the order of `COLUMNS`."""
    return in_order(name for row in rows for name in row.values)


def rows(
    records: Iterable[Record],
    known: Iterable[Record],
    store: Store,
    kinds: Sequence[str],
    changed: Changed = nothing_changed,
    code: Mapping[str, str] = MappingProxyType({}),
) -> list[MeasuredRow]:
    """Return a row for each cell: task as asked, terms and entrant.

    Args:
        records: those to show; failed runs have no values, nor have those that share cell and seed
            with another.
        known: all records, teachers among them.
        store: holds the predictions and measurements of both.
        kinds: of `COLUMNS`.
        changed: names a record's inputs that are not today's.
        code: the hash of each method's code today.
    """
    records = list(records)
    groups: dict[CellPlace, list[Record]] = {}
    for record, place in zip(records, places_of(records, changed), strict=True):
        groups.setdefault(place, []).append(record)
    blocks = arrange([SeedRuns.alone(record) for record in records], code, {}, changed)
    cells = {CellPlace(cell.terms, cell.row, cell.column): cell for cell in entries(blocks)}
    parts = {place: changed(group[0]) for place, group in groups.items()}
    short = telling(place.row for place in groups)
    names = Names(
        {place.column: parts[place] for place in groups},
        {short[place.row]: parts[place] for place in groups},
    )
    protocols = protocol_names({place.terms[1:3]: parts[place] for place in groups})
    measured = _Measured(known, store, kinds)
    return [
        MeasuredRow(
            task=names.column(place.column).name,
            k=place.terms.k,
            protocol=protocols[place.terms[1:3]] + _cut(place.terms),
            method=names.row(short[place.row]),
            student=place.row.student,
            cell=cells[place],
            values=measured.means(_counted(group, cells[place])),
        )
        for place, group in sorted(groups.items(), key=lambda item: _order(item[0]))
    ]


def _counted(group: Iterable[Record], cell: Entry) -> list[Record]:
    """Return the finished runs of a cell, without those that share their seed with another."""
    doubled = {seed for seed, _ in cell.doubled}
    return [run for run in group if run.score is not None and run.run.seed not in doubled]


def _order(place: CellPlace) -> tuple[Any, ...]:
    return place.terms.order, place.row, place.column


class _Measured:
    """Looks up the figures of runs, of some kinds."""

    def __init__(self, known: Iterable[Record], store: Store, kinds: Sequence[str]) -> None:
        self._teachers = {record.run.key: record for record in known}
        self._store = store
        self._kinds = kinds
        self._shelf = Shelf(store) if {*kinds} - {"loyalty"} else None

    def means(self, group: Iterable[Record]) -> dict[str, Value]:
        """Average each figure over the runs that have it."""
        values: dict[tuple[str, int], list[float]] = {}
        for record in group:
            for column, digits, value in self._figures(record):
                values.setdefault((column, digits), []).append(value)
        return {
            column: Value(math.fsum(known) / len(known), len(known), digits)
            for (column, digits), known in values.items()
        }

    def _figures(self, record: Record) -> Iterator[tuple[str, int, float]]:
        yield from figures("score", "", {"score": record.finished_score})
        if "loyalty" in self._kinds:
            loyalty = loyalties(record, self._teachers, self._store)
            if loyalty is not None:
                yield from figures("loyalty", "", loyalty)
        if self._shelf is not None:
            for measurement in self._shelf.of(record):
                if measurement.kind in self._kinds:
                    yield from figures(measurement.kind, named(measurement), measurement.scores)


def _cut(terms: Terms) -> str:
    """Say which test rows were left out, and in what the runs computed, for a caption."""
    limit = f" · a draw of {terms.limit} test rows only" if terms.limit else ""
    leaks = " · without leaked test rows" if terms.drop_leaks else ""
    return limit + leaks + (f" · computed in {terms.arithmetic}" if terms.arithmetic else "")


def grids(rows: Sequence[MeasuredRow]) -> list[Grid]:
    """Return a table for each task, K and protocol: a row per method, the best score last.

    A figure that only some runs of its row have is followed by their number in brackets.
    """
    tables: dict[tuple[str, K, str], list[MeasuredRow]] = {}
    for row in rows:
        tables.setdefault((row.task, row.k, row.protocol), []).append(row)
    return [_grid(*place, group) for place, group in tables.items()]


def _grid(task: str, k: K, protocol: str, group: Sequence[MeasuredRow]) -> Grid:
    rows = _worst_first(group)
    names = columns(rows)
    students = sorted({row.student for row in rows if row.student})
    n = _common_n(rows)
    caption = " · ".join([task, k_title(k), protocol, *_shared(students, n)])
    labels = ["method", "model"] if len(students) > 1 else ["method"]
    facts = labels if n else [*labels, "n"]
    header = [*facts, *(name.replace(" ", "\n") for name in names)]
    ranks = places([row.cell.mean for row in rows])
    body = [_line(row, rank, facts, names) for row, rank in zip(rows, ranks, strict=True)]
    return Grid(caption, header, body, _notes([row.cell for row in rows], names), len(labels))


def _notes(cells: Sequence[Entry], names: Collection[str]) -> list[str]:
    """Return the notes on how the runs of some cells, and attacks among the columns, were made."""
    notes = [*notes_on_runs(cells), *notes_on_doubled(cells)]
    if "cost" in kinds_of(names):
        notes += notes_on_int8(cells)
    return [*notes, FIRST_ROWS] if any(FIRST in name for name in names) else notes


def _common_n(rows: Iterable[MeasuredRow]) -> int | None:
    """Return the number of runs that all rows share; None if they differ."""
    counts = {row.n for row in rows}
    return counts.pop() if len(counts) == 1 else None


def _worst_first(group: Sequence[MeasuredRow]) -> list[MeasuredRow]:
    by_name = {(row.method, row.student): row for row in group}
    order = worst_first((name, row.cell.mean) for name, row in by_name.items())
    return [by_name[name] for name in order]


def _shared(students: Sequence[str], n: int | None) -> Iterator[str]:
    """Yield what all rows of a table have in common: the only model, and the seeds."""
    if len(students) == 1:
        yield f"model {students[0]}"
    yield f"means over n={n} split seeds" if n else "means over n split seeds"


def _line(
    row: MeasuredRow, rank: int, facts: Iterable[str], figures: Iterable[str]
) -> list[GridCell]:
    """Return the cells of a row: the facts that name it, then its figures."""
    texts = {"method": with_preset(row.method), "model": row.student, "n": str(row.n)}
    line = [GridCell(texts[name]) for name in facts]
    for name in figures:
        text = _mean(row.values.get(name), row.n)
        if name == "score":
            text = " ".join(filter(None, [text + signs(row.cell), failures(row.cell)]))
        line.append(GridCell(text, rank if name == "score" else 0))
    return line


def _mean(value: Value | None, n: int) -> str:
    if value is None:
        return "–"
    return f"{value.mean:.{value.digits}f}" + (f" ({value.n})" if value.n != n else "")


def flat(rows: Sequence[MeasuredRow]) -> list[Json]:
    """Return each row as an object of plain values.

    Each figure has its mean, None if no run has it, and the number of runs that have it.
    """
    objects = []
    names = columns(rows)
    for row in rows:
        line = row.facts()
        for name in names:
            value = row.values.get(name)
            line[name] = round(value.mean, 4) if value else None
            line[f"{name} n"] = value.n if value else 0
        objects.append(line)
    return objects
