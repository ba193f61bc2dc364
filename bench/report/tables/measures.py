"""Columns of what is measured of runs beyond their scores, by kind, and where figures are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fewbench.errors import BenchError
from fewbench.measure.loyalty import both_loyalties, own_teacher, paired
from fewbench.store.measurement import Measurement
from fewbench.store.record import Record
from fewbench.store.store import Store

MeasuredScores = Mapping[str, Any]
"""The scores of a measurement, nested by name: their keys depend on its kind."""


class Figure(NamedTuple):
    """A column: its name, how to look it up in a measurement's scores, and its decimals."""

    name: str
    of: Callable[[MeasuredScores], float | None]
    digits: int = 1


def at(*path: str, times: float = 1.0) -> Callable[[MeasuredScores], float | None]:
    """Make a function that looks up a number by a path of names; None if it is not there."""

    def look_up(scores: MeasuredScores) -> float | None:
        value: object = scores
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None and not isinstance(value, int | float):
            raise TypeError(f"{'.'.join(path)} is not a number: {value!r}")
        return None if value is None else times * float(value)

    return look_up


def latency(scores: MeasuredScores) -> float | None:
    """Return the milliseconds of an example, one at a time; None if they were not measured.

    They are the clock's, or the processor's where these are less: other programs kept the model
    waiting, and on a busy machine that is most of what the clock shows.
    """
    times = [at("latency_ms", "1", "model", of)(scores) for of in ("median", "processor")]
    return min((time for time in times if time is not None), default=None)


COLUMNS: Mapping[str, tuple[Figure, ...]] = {
    "score": (Figure("score", at("score", times=100)),),
    "loyalty": (
        Figure("label loyalty", at("label", times=100)),
        Figure("probability loyalty", at("probability", times=100)),
    ),
    "attack": (
        Figure("original accuracy", at("original_accuracy", times=100)),
        Figure("after-attack accuracy", at("after_attack_accuracy", times=100)),
        Figure("queries", at("mean_queries")),
    ),
    "cost": (
        Figure("M parameters", at("parameters", "total", times=1e-6), 2),
        Figure("MB on disk", at("bytes", times=1e-6), 2),
        Figure("M MACs", at("macs", "model", "total", times=1e-6), 2),
        Figure("ms", latency, 2),
        Figure("speed-up", at("speed_up", "1", "median"), 2),
        Figure("layer ratio", at("layer_ratio"), 2),
    ),
}
"""The columns of a table, by kind of measurement; those of `attack` name the recipe too."""

FIRST = "first rows"
FIRST_ROWS = f"{FIRST}: attacked, perhaps all of one class; bench attack draws them at random"

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
    return f"{measurement.name}, {FIRST}" if first else measurement.name


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
