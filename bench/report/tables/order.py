"""The order of rows, columns and tables that a user asks for by naming their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeVar

from fewbench.errors import BenchError
from fewbench.report.tables.entry import AXES
from fewbench.store.cell import entrant_of, label
from fewbench.store.seed_runs import HasRun
from fewbench.types import Run

R = TypeVar("R", bound=HasRun)

OWN = "own"
"""The name of a task's own template, as `--template` has it."""

Order = Mapping[str, Sequence[str]]
"""By axis, the names of its values in the order asked for; other values follow, as sorted."""


def rank(order: Order, axis: str, value: Any) -> int:
    """Return the place of a value of an axis (`Entry.axis`) in the order asked for."""
    names = order.get(axis, ())
    known = _names(axis, value)
    places = (place for place, name in enumerate(names) if name in known)
    return next(places, len(names))


def _names(axis: str, value: Any) -> tuple[str, ...]:
    """Return the names of a value of an axis."""
    if axis == "task":
        return value.task, f"{value.task}@{value.source}", value.name
    if axis == "method":
        method = value[0].method
        return method, method.partition(":")[0]
    if axis == "protocol":
        return (value[0],)
    if axis == "template":
        return (value or OWN,)
    return str(value), PurePath(str(value)).name


_OF_RUN: Mapping[str, Callable[[Run], set[str]]] = {
    "method": lambda run: {run.method, label(run.method, run.settings)},
    "task": lambda run: {run.task, f"{run.task}@{run.source}"},
    "student": lambda run: _model_names(run),
    "k": lambda run: {str(run.k)},
    "protocol": lambda run: {run.protocol},
    "teacher": lambda run: _teacher_names(run),
    "template": lambda run: {run.template or OWN},
}


def _model_names(run: Run) -> set[str]:
    ref = run.student or run.teacher
    return {ref.name, PurePath(ref.name).name} if ref else set()


def _teacher_names(run: Run) -> set[str]:
    teacher = entrant_of(run).teacher
    return {teacher, PurePath(teacher).name} if teacher else set()


def read_axes(
    option: str, names: Sequence[str], records: Iterable[HasRun]
) -> tuple[list[str], dict[str, list[str]]]:
    """Return the axes that `--rows` or `--columns` names, and an order if it names values.

    Axes are named themselves (`method,student`) or, one of them, by its values (`ft,prompt-ft`).

    Raises:
        BenchError: a name that is neither, or a mixture of them.
    """
    if names and all(name in AXES for name in names):
        return list(names), {}
    runs = [record.run for record in records]
    values = {axis: set().union(*map(of_run, runs)) for axis, of_run in _OF_RUN.items()}
    for axis, known in values.items():
        if names and known.issuperset(names):
            return [axis], {axis: list(names)}
    raise _no_axes(option, names, values)


def _no_axes(option: str, names: Sequence[str], values: Mapping[str, set[str]]) -> BenchError:
    """Return the error of names that are neither all axes nor all values of one axis."""
    unknown = next((name for name in names if name not in AXES), "")
    axis = next((axis for axis, known in values.items() if unknown in known), "")
    if axis and len(names) > 1:
        return BenchError(
            f"{option} is '{','.join(names)}', and '{unknown}' is a {axis}",
            allowed=f"axes ({', '.join(AXES)}), or values of one axis",
            fix=f"{option} {axis}",
        )
    return BenchError(
        f"{option} is '{unknown}'",
        allowed=[*AXES, *sorted(values["method"] | values["task"])],
        given=unknown,
        fix="--rows method --columns k",
    )


def in_order(records: Iterable[R], order: Order) -> list[R]:
    """Return the records that have a named value on each ordered axis."""
    if not order:
        return list(records)
    return [record for record in records if _is_named(record.run, order)]


def _is_named(run: Run, order: Order) -> bool:
    """True if a run has a named value on each ordered axis."""
    return all(not _OF_RUN[axis](run).isdisjoint(names) for axis, names in order.items())
