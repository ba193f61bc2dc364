"""Tables of measurements: a row per method on a task, with its score, loyalty, cost and attacks.

Figures are means over split seeds. A measurement counts only if it fits its record
(`fewbench.store.measurement`), and a row says how many of its runs have each figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fewbench.data.train_size import k_title
from fewbench.errors import BenchError
from fewbench.measure.loyalty import both_loyalties, own_teacher, paired
from fewbench.report.tables.blocks import (
    CellPlace,
    Changed,
    nothing_changed,
    without_doubled,
    worst_first,
)
from fewbench.report.tables.blocks import places as places_of
from fewbench.report.tables.grid import Grid, GridCell, places
from fewbench.report.tables.names import Names, protocol_names, telling
from fewbench.store.cell import Terms
from fewbench.store.measurement import Measurement, Shelf
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Json, K

MeasuredScores = Mapping[str, Any]
"""The scores of a measurement, nested by name: their keys depend on its kind."""


class Figure(NamedTuple):
    """A column: its name, how to look it up in a measurement's scores, and its decimals."""

    name: str
    of: Callable[[MeasuredScores], float | None]
    digits: int = 1


class Value(NamedTuple):
    """A mean over those runs of a row that have the figure, and their number."""

    mean: float
    n: int
    digits: int


class MeasuredRow(NamedTuple):
    """A method on a task: `values` by column's name; `n` runs."""

    task: str
    k: K
    protocol: str
    method: str
    student: str
    n: int
    values: Mapping[str, Value]


def _at(*path: str, times: float = 1.0) -> Callable[[MeasuredScores], float | None]:
    """Make a function that looks up a number by a path of names; None if it is not there."""

    def look_up(scores: MeasuredScores) -> float | None:
        value: object = scores
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None and not isinstance(value, int | float):
            raise TypeError(f"{'.'.join(path)} is not a number: {value!r}")
        return None if value is None else times * float(value)

    return look_up


COLUMNS: Mapping[str, tuple[Figure, ...]] = {
    "score": (Figure("score", _at("score", times=100)),),
    "loyalty": (
        Figure("label loyalty", _at("label", times=100)),
        Figure("probability loyalty", _at("probability", times=100)),
    ),
    "attack": (
        Figure("original accuracy", _at("original_accuracy", times=100)),
        Figure("after-attack accuracy", _at("after_attack_accuracy", times=100)),
        Figure("queries", _at("mean_queries")),
    ),
    "cost": (
        Figure("M parameters", _at("parameters", "total", times=1e-6), 2),
        Figure("MB on disk", _at("bytes", times=1e-6), 2),
        Figure("M MACs", _at("macs", "model", "total", times=1e-6), 2),
        Figure("ms", _at("latency_ms", "1", "model", "median"), 2),
        Figure("speed-up", _at("speed_up", "1", "median"), 2),
        Figure("layer ratio", _at("layer_ratio"), 2),
    ),
}
"""The columns of a table, by kind of measurement; those of `attack` name the recipe too."""

FIRST = "†"
FIRST_ROWS = (
    f"{FIRST} attacked the first test rows, perhaps all of one class: bench attack draws them"
)

_KIND = {figure.name: kind for kind, figures in COLUMNS.items() for figure in figures}

KINDS = tuple(kind for kind in COLUMNS if kind != "score")


def chosen(text: str) -> list[str]:
    """Return the kinds of measurement that `--with` names.

    Raises:
        BenchError: an unknown kind.
    """
    kinds = [kind for kind in text.split(",") if kind]
    for kind in kinds:
        if kind not in KINDS:
            raise BenchError(
                f"there is no kind of measurement '{kind}'",
                allowed=KINDS,
                given=kind,
                fix="--with loyalty,cost",
            )
    return kinds


def columns(rows: Iterable[MeasuredRow]) -> list[str]:
    """Return the names of all columns that some rows have, in the order of `COLUMNS`."""
    return in_order(name for row in rows for name in row.values)


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of columns, each once, in the order of `COLUMNS`."""
    order = [figure.name for kind in COLUMNS.values() for figure in kind]
    return sorted({*names}, key=lambda name: (order.index(name.partition(" (")[0]), name))


def kinds_of(header: Iterable[str]) -> list[str]:
    """Return the kinds of measurement, besides scores, that stand under the heads of a table."""
    found = {_KIND.get(head.replace("\n", " ").partition(" (")[0]) for head in header}
    return [kind for kind in KINDS if kind in found]


def figures(kind: str, name: str, scores: MeasuredScores) -> Iterator[tuple[str, int, float]]:
    """Yield the figures of one measurement: the column, its decimals, and the value."""
    for figure in COLUMNS.get(kind, ()):
        value = figure.of(scores)
        if value is not None:
            column = f"{figure.name} ({name})" if name else figure.name
            yield column, figure.digits, value


def named(measurement: Measurement) -> str:
    """Return the name of a measurement, marked if it is an attack on the first test rows.

    Earlier versions attacked these, and many test sets are sorted by class. Such figures have
    separate columns.
    """
    first = measurement.kind == "attack" and "drawn" not in measurement.settings
    return measurement.name + (FIRST if first else "")


def loyalties(
    student: Record, teachers: Mapping[str, Record], store: Store
) -> dict[str, float] | None:
    """Return the label and probability loyalty of a run to its teacher's, if that is stored."""
    teacher = own_teacher(student, teachers)
    return None if teacher is None else loyalty_to(teacher, student, store)


def loyalty_to(teacher: Record, student: Record, store: Store) -> dict[str, float] | None:
    """Return the label and probability loyalty of a run to another, if they have one."""
    try:
        label, probability = both_loyalties(*paired(teacher, student, store))
    except BenchError:  # a regression has none; fsck reports damaged predictions
        return None
    return {"label": label, "probability": probability}


def rows(
    records: Iterable[Record],
    known: Iterable[Record],
    store: Store,
    kinds: Sequence[str],
    changed: Changed = nothing_changed,
) -> list[MeasuredRow]:
    """Return a row for each cell: task as asked, terms and entrant.

    Args:
        records: those to show; failed runs are left out, and those that share cell and seed with
            another.
        known: all records, teachers among them.
        store: holds the predictions and measurements of both.
        kinds: of `COLUMNS`.
        changed: names a record's inputs that are not today's.
    """
    finished = without_doubled([record for record in records if record.score is not None])
    groups: dict[CellPlace, list[Record]] = {}
    for record, place in zip(finished, places_of(finished, changed), strict=True):
        groups.setdefault(place, []).append(record)
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
            n=len(group),
            values=measured.means(group),
        )
        for place, group in sorted(groups.items(), key=lambda item: _order(item[0]))
    ]


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
    ranks = places([row.values["score"].mean for row in rows])
    body = [_line(row, rank, facts, names) for row, rank in zip(rows, ranks, strict=True)]
    notes = [FIRST_ROWS] if any(FIRST in name for name in names) else []
    return Grid(caption, header, body, notes, len(labels))


def _common_n(rows: Iterable[MeasuredRow]) -> int | None:
    """Return the number of runs that all rows share; None if they differ."""
    counts = {row.n for row in rows}
    return counts.pop() if len(counts) == 1 else None


def _worst_first(group: Sequence[MeasuredRow]) -> list[MeasuredRow]:
    by_name = {(row.method, row.student): row for row in group}
    order = worst_first((name, row.values["score"].mean) for name, row in by_name.items())
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
    texts = {"method": row.method, "model": row.student, "n": str(row.n)}
    line = [GridCell(texts[name]) for name in facts]
    for name in figures:
        text = _mean(row.values.get(name), row.n)
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
        line = row._asdict()
        del line["values"]
        for name in names:
            value = row.values.get(name)
            line[name] = round(value.mean, 4) if value else None
            line[f"{name} n"] = value.n if value else 0
        objects.append(line)
    return objects
