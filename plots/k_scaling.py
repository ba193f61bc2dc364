"""Score against K, the training examples per class: mean and one standard deviation.

As smash, Figure 4, prompt-distiller, Figure 2, ppt, Figure 4 and thesis Figure 6.2. With
`--published` a line is drawn at what the thesis prints for RoBERTa-large fine-tuned on all training
data (Table 6.2): another backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._curves import Curves, draw_curves
from fewbench.report.figures import Material, Panel, by_name, panels, score
from fewbench.report.published import Published
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FULL = ("efficient-nlp-thesis", "6.2", "full")
MAKE = "bench run --methods ft,prompt-ft --tasks sst-2 --k 1,2,4,8,16,32,64"


def draw(material: Material) -> Figure:
    """Draw a panel for each task, and a curve for each method, with runs at two or more K."""
    curves: dict[Panel, Curves] = {}
    for panel, records in panels(material.records, over="k").items():
        by_k = {name: _by_k(runs) for name, runs in by_name(records, material.records).items()}
        if drawn := {name: scores for name, scores in by_k.items() if len(scores) > 1}:
            curves[panel] = drawn
    if not curves:
        raise BenchError(
            "k-scaling needs runs of one task at two or more K, and none are stored", fix=MAKE
        )

    def full_data(axes: Axes, panel: Panel) -> list[Artist]:
        question = (panel.task, panel.cell.source, panel.metric)
        for number in material.published:
            table = (number.paper, number.table, number.k)
            if table == FULL and (number.task, number.task_source, number.metric) == question:
                _mark_full_data(axes, number)
        return []

    return draw_curves(curves, _dress, levels=full_data)


def _mark_full_data(axes: Axes, number: Published) -> None:
    axes.axhline(number.value, color="0.35", linestyle=(0, (1, 1.2)), linewidth=0.9)
    axes.annotate(
        f"all data, {number.backbone} (thesis 6.2)",
        (0.01, number.value),
        (0, -2.5),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=6,
        color="0.25",
        va="top",
    )


def _by_k(records: Sequence[Record]) -> dict[float, list[float]]:
    scores: dict[float, list[float]] = {}
    for record in records:
        if isinstance(record.run.k, int):  # full data and totals have no place on the axis
            scores.setdefault(record.run.k, []).append(score(record))
    return scores


def _dress(axes: Axes, ks: list[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [f"{k:.0f}" for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("K, training examples per class")
