"""Score against the steps of an intermediate task, a line per way to distil: smash, Figure 2."""

from __future__ import annotations

from collections.abc import Sequence
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
DASHES = ((0, (1, 1.2)), (0, (4, 2)), (0, (6, 1, 1, 1)), (0, (2, 3)))
MAKE = (
    "bench run --methods smash:pretrain_steps=500,smash:pretrain_steps=2000,prompt-ft "
    "--tasks sst-2 --corpus FOLDER"
)


def draw(material: Material) -> Figure:
    """Draw a panel for each task with runs at two or more `pretrain_steps`.

    Methods without an intermediate task are horizontal lines.
    """
    groups = panels(material.records)
    curves: dict[Panel, Curves] = {}
    for panel, records in groups.items():
        by_method, steps = _curves(records)
        if len(steps) > 1:
            curves[panel] = by_method
    if not curves:
        raise BenchError(
            "distillation-settings needs runs of one task at two or more steps of distilling; "
            "none are stored",
            fix=MAKE,
        )

    def levels(axes: Axes, panel: Panel) -> list[Artist]:
        return _levels(axes, groups[panel], material)

    return draw_curves(curves, _dress, levels=levels)


def _curves(records: Sequence[Record]) -> tuple[dict[str, dict[float, list[float]]], set[float]]:
    """Return the curve of each way to distil, and the steps of all."""
    curves: dict[str, dict[float, list[float]]] = {}
    steps: set[float] = set()
    for record in records:
        if count := record.run.settings.get(STEPS):
            curves.setdefault(_name(record), {}).setdefault(count, []).append(score(record))
            steps.add(count)
    return curves, steps


def _levels(axes: Axes, records: Sequence[Record], material: Material) -> list[Artist]:
    """Draw a horizontal line at the mean of each method without an intermediate task."""
    chosen = [r for r in records if r.run.method in LEVELS and STEPS not in r.run.settings]
    lines: list[Artist] = []
    for number, (name, runs) in enumerate(sorted(by_name(chosen, material.records).items())):
        mean, _ = mean_and_band([score(record) for record in runs])
        look: Look = {"color": "0.45", "linewidth": 0.9, "linestyle": DASHES[number % len(DASHES)]}
        lines.append(axes.axhline(mean, label=name, **look))
    return lines


def _name(record: Record) -> str:
    """Return the label of a method without its steps, and its teacher."""
    run = record.run
    settings = {name: value for name, value in run.settings.items() if name != STEPS}
    name = label(run.method, settings)
    return f"{name}, teacher {run.teacher.name}" if run.teacher else name


def _dress(axes: Axes, steps: list[float]) -> None:
    axes.set_xlabel("steps on the intermediate task")
    axes.locator_params(axis="x", nbins=5)
