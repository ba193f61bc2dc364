"""Score against K, the training examples a class: mean and one standard deviation over split seeds.

As smash, Figure 4, prompt-distiller, Figure 2, ppt, Figure 4 and thesis Figure 6.2. With
`--published` a line is drawn at what the thesis prints for RoBERTa-large fine-tuned on all training
data (Table 6.2): another backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fewbench.errors import BenchError
from fewbench.plots._curves import draw_curves
from fewbench.report.figures import Material, Panel, by_name, panels, score
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FULL = ("efficient-nlp-thesis", "6.2", "full")
MAKE = "bench run --methods ft,prompt-ft --tasks sst-2 --k 1,2,4,8,16,32,64"


def draw(material: Material) -> Figure:
    """Draw a panel for each task, and a curve for each method, with runs at two or more K."""
    found = {}
    for panel, records in panels(material.records, over="k").items():
        by_k = {name: _by_k(some) for name, some in by_name(records, material.records).items()}
        if curves := {name: scores for name, scores in by_k.items() if len(scores) > 1}:
            found[panel] = curves
    if not found:
        raise BenchError(
            "k-scaling needs runs of one task at two or more K, and none are stored", fix=MAKE
        )

    def full_data(axes: Axes, panel: Panel) -> list[Any]:
        for number in material.published:
            place = (number.task, number.task_source, number.metric)
            if (number.paper, number.table, number.k, *place) == (
                *FULL,
                panel.task,
                panel.cell.source,
                panel.metric,
            ):
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
        return []

    return draw_curves(found, _dress, levels=full_data)


def _by_k(records: Sequence[Record]) -> dict[float, list[float]]:
    scores: dict[float, list[float]] = {}
    for record in records:
        scores.setdefault(record.run.k, []).append(score(record))
    return scores


def _dress(axes: Axes, ks: list[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [f"{k:.0f}" for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("K, training examples a class")
