"""One row a method on a task: how good, how faithful to its teacher, and whatever else was measured
of its stored runs.

Means over split seeds. A measurement counts only if it fits its record
(`fewbench.store.measurement`), and a row says of how many of its runs each figure is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fewbench.errors import BenchError
from fewbench.measure.loyalty import label_loyalty, own_teacher, paired, probability_loyalty
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


class Figure(NamedTuple):
    """A column: its name, how its measurement's scores hold it, and how many digits follow the
    point.
    """

    name: str
    of: Callable[[Mapping[str, Any]], float | None]
    digits: int = 1


class Value(NamedTuple):
    """A mean over the runs of a row that have it, and how many have."""

    mean: float
    n: int
    digits: int


class MeasuredRow(NamedTuple):
    """A method on a task: `values` by column's name; `n` runs."""

    task: str
    k: int
    protocol: str
    method: str
    student: str
    n: int
    values: Mapping[str, Value]


def _at(*path: str, times: float = 1.0) -> Callable[[Mapping[str, Any]], float | None]:
    """Return what looks a number up by a path of names, None where it is not there, and refuses
    what is no number.
    """

    def look(scores: Mapping[str, Any]) -> float | None:
        value: Any = scores
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None and not isinstance(value, int | float):
            raise TypeError(f"{'.'.join(path)} is no number: {value!r}")
        return None if value is None else times * float(value)

    return look


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
        Figure("M MACs", _at("macs", "model", "total", times=1e-6), 2),
        Figure("ms", _at("latency_ms", "1", "model", "median"), 2),
        Figure("speed-up", _at("speed_up", "1", "median"), 2),
        Figure("layer ratio", _at("layer_ratio"), 2),
    ),
}
"""By kind of measurement: what a table shows of it. Of the kind `attack`, columns name the recipe
too.
"""

FIRST = "†"
FIRST_ROWS = (
    f"{FIRST} attacked the first test rows, perhaps of one class alone: bench attack draws them"
)

KINDS = tuple(kind for kind in COLUMNS if kind != "score")


def chosen(text: str) -> list[str]:
    """Return the kinds that `--with` names.

    Raises:
        BenchError: an unknown one.
    """
    kinds = [kind for kind in text.split(",") if kind]
    for kind in kinds:
        if kind not in KINDS:
            raise BenchError(
                f"nothing called '{kind}' is measured",
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
    order = [figure.name for each in COLUMNS.values() for figure in each]
    return sorted({*names}, key=lambda name: (order.index(name.partition(" (")[0]), name))


def figures(kind: str, name: str, scores: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
    """Yield what a table shows of one thing measured: the column, its digits, and the value."""
    for figure in COLUMNS.get(kind, ()):
        if (value := figure.of(scores)) is not None:
            yield figure.name + (f" ({name})" if name else ""), figure.digits, value


def named(measurement: Measurement) -> str:
    """Return the name of a measurement, marked where it is of an attack on the first test rows.

    Earlier versions attacked these, and many a test set is sorted by class. Such figures have
    columns of their own.
    """
    first = measurement.kind == "attack" and "drawn" not in measurement.settings
    return measurement.name + (FIRST if first else "")


def loyalties(
    student: Record, teachers: Mapping[str, Record], store: Store
) -> dict[str, float] | None:
    """Return the label and probability loyalty of a run to its own teacher's, if it has one that is
    stored.
    """
    if (teacher := own_teacher(student, teachers)) is None:
        return None
    try:
        pair = paired(teacher, student, store)
        return {"label": label_loyalty(*pair), "probability": probability_loyalty(*pair)}
    except BenchError:  # a regression has none; damaged predictions are told by fsck
        return None


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
        store: of both.
        kinds: of `COLUMNS`.
        changed: what of a record is not today's.
    """
    teachers = {record.run.key: record for record in known}
    finished = without_doubled([record for record in records if record.score is not None])
    groups: dict[CellPlace, list[Record]] = {}
    for record, place in zip(finished, places_of(finished, changed), strict=True):
        groups.setdefault(place, []).append(record)
    parts = {place: changed(group[0]) for place, group in groups.items()}
    shown = telling(place.row for place in groups)
    names = Names(
        {place.column: parts[place] for place in groups},
        {shown[place.row]: parts[place] for place in groups},
    )
    protocols = protocol_names({place.terms[1:3]: parts[place] for place in groups})
    shelf = Shelf(store) if {*kinds} - {"loyalty"} else None
    found = []
    for place, group in sorted(groups.items()):
        each: dict[tuple[str, int], list[float]] = {}
        for told in (
            told for record in group for told in _scores(record, teachers, store, shelf, kinds)
        ):
            for column, digits, value in figures(*told):
                each.setdefault((column, digits), []).append(value)
        means = {
            name: Value(math.fsum(values) / len(values), len(values), digits)
            for (name, digits), values in each.items()
        }
        task, method = names.column(place.column).name, names.row(shown[place.row])
        protocol = protocols[place.terms[1:3]] + _cut(place.terms)
        found.append(
            MeasuredRow(task, place.terms.k, protocol, method, place.row.student, len(group), means)
        )
    return found


def _cut(terms: Terms) -> str:
    """Return what is to be said of a test set that is not whole."""
    limit = f" · a draw of {terms.limit} test rows only" if terms.limit else ""
    return limit + (" · without leaked test rows" if terms.drop_leaks else "")


def grids(rows: Sequence[MeasuredRow]) -> list[Grid]:
    """Return a table for each task, K and protocol: a row a method, by score, the best last and
    marked.

    A figure that not all runs of its row have says in brackets how many have it.
    """
    tables: dict[tuple[str, int, str], list[MeasuredRow]] = {}
    for row in rows:
        tables.setdefault((row.task, row.k, row.protocol), []).append(row)
    return [
        _grid(*place, {(row.method, row.student): row for row in group})
        for place, group in tables.items()
    ]


def _grid(task: str, k: int, protocol: str, group: Mapping[tuple[str, str], MeasuredRow]) -> Grid:
    names = columns(group.values())
    order = worst_first((place, row.values["score"].mean) for place, row in group.items())
    ranked = dict(
        zip(order, places([group[place].values["score"].mean for place in order]), strict=True)
    )
    students, counts = (
        {student for _, student in group if student},
        {row.n for row in group.values()},
    )
    n = counts.pop() if len(counts) == 1 else None
    body = []
    for place in order:
        row = group[place]
        line = [GridCell(row.method), *([GridCell(row.student)] if len(students) > 1 else [])]
        line += [] if n else [GridCell(str(row.n))]
        for name in names:
            line.append(
                GridCell(
                    _mean(row.values.get(name), row.n), ranked[place] if name == "score" else 0
                )
            )
        body.append(line)
    caption = [
        task,
        f"K={k}",
        protocol,
        *([f"model {next(iter(students))}"] if len(students) == 1 else []),
    ]
    caption.append(f"means over n={n} split seeds" if n else "means over n split seeds")
    labels = ["method", *(["model"] if len(students) > 1 else [])]
    header = [*labels, *([] if n else ["n"]), *(name.replace(" ", "\n") for name in names)]
    notes = [FIRST_ROWS] if any(FIRST in name for name in names) else []
    return Grid(" · ".join(caption), header, body, notes, len(labels))


def _mean(value: Value | None, n: int) -> str:
    if value is None:
        return "–"
    return f"{value.mean:.{value.digits}f}" + (f" ({value.n})" if value.n != n else "")


def flat(rows: Sequence[MeasuredRow]) -> list[dict[str, Any]]:
    """Return the rows as plain values, one object each: a figure's mean, None if no run has it, and
    how many have.
    """
    found = []
    names = columns(rows)
    for row in rows:
        line = {name: value for name, value in row._asdict().items() if name != "values"}
        for name in names:
            value = row.values.get(name)
            line |= {
                name: round(value.mean, 4) if value else None,
                f"{name} n": value.n if value else 0,
            }
        found.append(line)
    return found


def _scores(
    record: Record,
    teachers: Mapping[str, Record],
    store: Store,
    shelf: Shelf | None,
    kinds: Sequence[str],
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield what is known of a run, by kind and name: its score, its loyalty to its own teacher,
    its measurements.
    """
    yield "score", "", {"score": record.finished_score}
    if "loyalty" in kinds and (found := loyalties(record, teachers, store)) is not None:
        yield "loyalty", "", found
    if shelf is not None:
        for measurement in shelf.of(record):
            if measurement.kind in kinds:
                yield measurement.kind, named(measurement), measurement.scores
