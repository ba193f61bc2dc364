"""Loss against tokens of one or several pretrainings; with a probe's scores, thesis Figure 7.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fewbench.types import Json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = Sequence[Json]
"""The points of a training report."""

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = "os^vDP"
LABELS = {"held_out_loss": "masked-word loss (nats)", "mrr": "LAMA MRR (macro)"}


def save_curves(
    curves: Mapping[str, Curve], file: Path, *, measures: Sequence[str] = ("held_out_loss",)
) -> None:
    """Draw measures against millions of tokens: a panel per measure, a line per run.

    Args:
        curves: by name, the points of a training report.
        file: `.png`, `.svg` or `.pdf`.
        measures: keys of the points; of one run, training loss is drawn thin beside
            `held_out_loss`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(measures), 2.7), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        _draw_lines(axes, curves, measure)
        axes.set_xlabel("tokens (millions)")
        axes.set_ylabel(LABELS.get(measure, measure.replace("_", " ")))
        if measure != "held_out_loss":
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(fontsize=7, frameon=False)
    figure.savefig(file, dpi=160)


def _draw_lines(axes: Axes, curves: Mapping[str, Curve], measure: str) -> None:
    """Draw a line per run; dashes and marks distinguish them without colour."""
    alone = len(curves) == 1
    for number, (name, curve) in enumerate(curves.items()):
        axes.plot(
            *_points(curve, measure),
            color=f"C{number}",
            linestyle=DASHES[number % len(DASHES)],
            linewidth=1.2,
            marker=MARKERS[number % len(MARKERS)],
            markersize=3,
            label="held-out text" if alone else name,
        )
        if alone and measure == "held_out_loss":
            training = _points(curve, "train_loss")
            axes.plot(*training, color="0.55", linewidth=0.8, label="training text")


def _points(curve: Curve, key: str) -> tuple[list[float], list[float]]:
    """Return millions of tokens and values of the points that have a value."""
    points = [point for point in curve if point.get(key) is not None]
    return [point["tokens"] / 1e6 for point in points], [point[key] for point in points]
