"""Score by template and label words: the task's own beside others, as smash, Figure 3 and ppt,
Table 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._curves import draw_curves
from fewbench.report.figures import Material, Panel, by_name, panels, score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OWN = "own"
MAKE = "bench run --methods prompt-ft,zero-shot --tasks sst-2 --template own,man-2,gen-1"


def draw(material: Material) -> Figure:
    """Draw a panel for each task and K that has runs with two or more templates."""
    groups = {
        panel: records
        for panel, records in panels(material.records, over="template").items()
        if len({record.run.template for record in records}) > 1
    }
    if not groups:
        raise BenchError(
            "templates needs runs of one task with two or more templates, and none are stored",
            fix=MAKE,
        )
    names = sorted(
        {record.run.template for records in groups.values() for record in records}
    )  # "", its own, is first
    found: dict[Panel, dict[str, dict[float, list[float]]]] = {}
    for panel, records in groups.items():
        for name, some in by_name(records, material.records).items():
            curve = found.setdefault(panel, {}).setdefault(name, {})
            for record in some:
                curve.setdefault(names.index(record.run.template), []).append(score(record))

    def dress(axes: Axes, places: list[float]) -> None:
        axes.set_xticks(
            range(len(names)), [name or OWN for name in names], rotation=30 if len(names) > 4 else 0
        )
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_xlabel("template")
        axes.grid(axis="x", visible=False)

    return draw_curves(found, dress, joined=False)
