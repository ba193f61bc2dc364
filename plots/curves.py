"""Dev score by update, of students and their teachers: thesis Figure 5.5.

A run's record has the dev scores of the trial that was chosen, and those of a teacher that goes on
learning beside its student (`metadistil`). A teacher that does not has the curve of its own run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.measure.loyalty import own_teacher
from fewbench.plots._curves import Curve, Curves, draw_curves, label_some
from fewbench.report.figures import Material, Panel, by_name, panels
from fewbench.report.query import models_apart
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAKE = "bench run --methods ft,vanilla-kd --tasks sst-2"
TAUGHT = ", teacher"
ITS_TEACHER = ", its teacher"


def draw(material: Material) -> Figure:
    """Draw a panel for each task, a line for each method and for each teacher of one."""
    students = [record for record in material.records if len(_curve(record)) > 1]
    teachers = _teachers(students, material)
    records = [record for record in students if record.run.key not in teachers]
    records += teachers.values()
    curves: dict[Panel, Curves] = {}
    for panel, group in panels(records).items():
        if found := _mean_curves(by_name(group, records), teachers):
            curves[panel] = found
    if not curves:
        raise BenchError(
            "curves needs runs with dev scores at two or more updates, and none are stored",
            fix=MAKE,
        )
    return draw_curves(curves, _dress, score_name="dev score")


def _teachers(students: Iterable[Record], material: Material) -> dict[str, Record]:
    """Return the runs that taught the students and have curves, by their keys."""
    students = list(students)
    if not any("teacher" in record.details for record in students):
        return {}
    known = {record.run.key: record for record in models_apart(material.store.records())}
    found: dict[str, Record] = {}
    for student in students:
        teacher = own_teacher(student, known)
        if teacher is not None and len(_curve(teacher)) > 1:
            found[teacher.run.key] = teacher
    return found


def _mean_curves(
    by_method: Mapping[str, Sequence[Record]], teachers: Collection[str]
) -> dict[str, Curve]:
    """Return a curve for each method, and another for those of its runs that taught others."""
    curves: dict[str, Curve] = {}
    for name, runs in by_method.items():
        taught = [run for run in runs if run.run.key in teachers]
        others = [run for run in runs if run.run.key not in teachers]
        curves |= {name: _mean_curve(others), name + TAUGHT: _mean_curve(taught)}
        curves[name + ITS_TEACHER] = _mean_curve(others, "teacher_curve")
    return {name: curve for name, curve in curves.items() if len(curve) > 1}


def _curve(record: Record, detail: str = "curve") -> dict[int, float]:
    """Return the dev score by update of a run, or of its teacher, in hundredths."""
    curve: Sequence[tuple[int, float]] = record.details.get(detail, ())
    return {int(step): 100 * float(value) for step, value in curve}


def _mean_curve(records: Iterable[Record], detail: str = "curve") -> Curve:
    """Join the curves of several seeds at the updates that all of them reached."""
    points: dict[float, list[float]] = {}
    count = 0
    for record in records:
        count += 1
        for step, reached in _curve(record, detail).items():
            points.setdefault(step, []).append(reached)
    return {step: reached for step, reached in sorted(points.items()) if len(reached) == count}


def _dress(axes: Axes, steps: list[float]) -> None:
    axes.set_xlabel("update")
    label_some(axes, steps)
