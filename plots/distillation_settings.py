"""Score against the steps of an intermediate task, a line per way to distil: smash, Figure 2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._curves import REFERENCE, Curves, draw_curves
from fewbench.plots._style import Look, mean_and_band
from fewbench.report.figures import Material, Panel, by_name, panels, score
from fewbench.store.cell import label
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = ("prompt-ft", REFERENCE, "zero-shot")
STEPS = "pretrain_steps"
DASHES = ((0, (1, 1.2)), (0, (4, 2)), (0, (6, 1, 1, 1)))
GREYS = ("0.15", "0.45", "0.7")
WIDTHS = (0.9, 1.6, 2.3)
"""A level has the dash of its method, and the grey and width of its model."""
MAKE = (
    "bench run --methods smash:pretrain_steps=500,smash:pretrain_steps=2000,prompt-ft "
    "--tasks sst-2 --corpus FOLDER"
)


def draw(material: Material) -> Figure:
    """Draw a panel for each task that a method has runs on at two or more `pretrain_steps`.

    Methods without an intermediate task are horizontal lines, of the models that are students or
    teachers of the curves.
    """
    groups = panels(material.records)
    curves: dict[Panel, Curves] = {}
    for panel, records in groups.items():
        if by_method := _curves(records):
            curves[panel] = by_method
    if not curves:
        raise BenchError(
            "distillation-settings needs runs of one task at two or more steps of distilling; "
            "no method has them stored",
            fix=MAKE,
        )
    models = _models(
        record for panel in curves for record in groups[panel] if _name(record) in curves[panel]
    )

    def levels(axes: Axes, panel: Panel) -> list[Artist]:
        return _levels(axes, groups[panel], material, models)

    return draw_curves(curves, _dress, levels=levels)


def _curves(records: Sequence[Record]) -> dict[str, dict[float, list[float]]]:
    """Return the curve of each way to distil that has two points or more."""
    curves: dict[str, dict[float, list[float]]] = {}
    for record in records:
        if count := record.run.settings.get(STEPS):
            curves.setdefault(_name(record), {}).setdefault(count, []).append(score(record))
    return {name: curve for name, curve in curves.items() if len(curve) > 1}


def _models(records: Iterable[Record]) -> list[str]:
    """List the students and teachers of the curves, each once."""
    runs = [record.run for record in records if STEPS in record.run.settings]
    models = [model.name for run in runs for model in (run.student, run.teacher) if model]
    return sorted(set(models))


def _levels(
    axes: Axes, records: Sequence[Record], material: Material, models: Sequence[str]
) -> list[Artist]:
    """Draw a horizontal line at the mean of each method without an intermediate task."""
    chosen = [record for record in records if _is_level(record, models)]
    lines: list[Artist] = []
    for name, runs in sorted(by_name(chosen, material.records).items()):
        mean, _ = mean_and_band([score(record) for record in runs])
        lines.append(axes.axhline(mean, label=name, **_level_look(runs[0], models)))
    return lines


def _is_level(record: Record, models: Sequence[str]) -> bool:
    run = record.run
    is_plain = run.method in LEVELS and STEPS not in run.settings
    return is_plain and run.student is not None and run.student.name in models


def _level_look(record: Record, models: Sequence[str]) -> Look:
    """Return the look of a level: the same one in all panels, and no two alike of nine models."""
    assert record.run.student is not None
    number = models.index(record.run.student.name)
    return {
        "color": GREYS[number % len(GREYS)],
        "linewidth": WIDTHS[number // len(GREYS) % len(WIDTHS)],
        "linestyle": DASHES[LEVELS.index(record.run.method)],
    }


def _name(record: Record) -> str:
    """Return the label of a method without its steps, and its teacher."""
    run = record.run
    settings = {name: value for name, value in run.settings.items() if name != STEPS}
    name = label(run.method, settings)
    return f"{name}, teacher {run.teacher.name}" if run.teacher else name


def _dress(axes: Axes, steps: list[float]) -> None:
    axes.set_xlabel("steps on the intermediate task")
    axes.locator_params(axis="x", nbins=5)
