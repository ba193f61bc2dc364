"""Score by template and label words, as smash, Figure 3 and ppt, Table 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._curves import draw_curves
from fewbench.report.figures import Material, Panel, by_name, panels, score
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OWN = "own"
MAKE = "bench run --methods prompt-ft,zero-shot --tasks sst-2 --template own,man-2,gen-1"


def draw(material: Material) -> Figure:
    """Draw a panel for each task and K that has runs with two or more templates."""
    groups: dict[Panel, list[Record]] = {}
    templates: set[str] = set()
    for panel, records in panels(material.records, over="template").items():
        used = {record.run.template for record in records}
        if len(used) > 1:
            groups[panel] = records
            templates |= used
    if not groups:
        raise BenchError(
            "templates needs runs of one task with two or more templates, and none are stored",
            fix=MAKE,
        )
    order = sorted(templates)  # the task's own, "", is first
    curves: dict[Panel, dict[str, dict[float, list[float]]]] = {}
    for panel, records in groups.items():
        for name, runs in by_name(records, material.records).items():
            curve = curves.setdefault(panel, {}).setdefault(name, {})
            for record in runs:
                curve.setdefault(order.index(record.run.template), []).append(score(record))

    def dress(axes: Axes, places: list[float]) -> None:
        ticks = [template or OWN for template in order]
        axes.set_xticks(range(len(order)), ticks, rotation=30 if len(order) > 4 else 0)
        axes.set_xlim(-0.5, len(order) - 0.5)
        axes.set_xlabel("template")
        axes.grid(axis="x", visible=False)

    return draw_curves(curves, dress, joined=False)
