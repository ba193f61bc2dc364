"""Score against the steps of an intermediate task, a line a way to distil: smash, Figure 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fewbench.errors import BenchError
from fewbench.plots._curves import REFERENCE, draw_curves
from fewbench.plots._style import mean_and_band
from fewbench.report.figures import Material, Panel, by_name, panels, score
from fewbench.store.cell import label
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = ("prompt-ft", REFERENCE, "zero-shot")
STEPS = "pretrain_steps"
MAKE = "bench run --methods smash:pretrain_steps=500,smash:pretrain_steps=2000,prompt-ft --tasks sst-2 --corpus FOLDER"


def draw(material: Material) -> Figure:
    """Draw a panel a task with runs at two or more `pretrain_steps`; methods without such a task
    are levels.
    """
    found: dict[Panel, dict[str, dict[float, list[float]]]] = {}
    groups = panels(material.records)
    for panel, records in groups.items():
        for record in records:
            if record.run.settings.get(STEPS):
                curve = found.setdefault(panel, {}).setdefault(_name(record), {})
                curve.setdefault(record.run.settings[STEPS], []).append(score(record))
    found = {
        panel: curves
        for panel, curves in found.items()
        if len({x for c in curves.values() for x in c}) > 1
    }
    if not found:
        problem = "distillation-settings needs runs of one task at two or more steps of distilling; none are stored"
        raise BenchError(problem, fix=MAKE)

    def levels(axes: Axes, panel: Panel) -> list[Any]:
        drawn = [r for r in groups[panel] if r.run.method in LEVELS and STEPS not in r.run.settings]
        plain = by_name(drawn, material.records)
        dashes = [(0, (1, 1.2)), (0, (4, 2)), (0, (6, 1, 1, 1)), (0, (2, 3))]
        return [
            axes.axhline(
                mean_and_band([score(record) for record in some])[0],
                label=name,
                color="0.45",
                linewidth=0.9,
                linestyle=dashes[number % len(dashes)],
            )
            for number, (name, some) in enumerate(sorted(plain.items()))
        ]

    return draw_curves(found, _dress, levels=levels)


def _name(record: Record) -> str:
    """Return what distils, and from which teacher."""
    run = record.run
    settings = {name: value for name, value in run.settings.items() if name != STEPS}
    return label(run.method, settings) + (f", teacher {run.teacher.name}" if run.teacher else "")


def _dress(axes: Axes, steps: list[float]) -> None:
    axes.set_xlabel("steps on the intermediate task")
    axes.locator_params(axis="x", nbins=5)
