"""Loss against tokens, of one or several pretrainings; with a probe's scores it is thesis Figure
7.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Curve = Sequence[Mapping[str, Any]]
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = "os^vDP"
LABELS = {"held_out_loss": "masked-word loss (nats)", "mrr": "LAMA MRR (macro)"}


def save_curves(
    curves: Mapping[str, Curve], file: Path, *, measures: Sequence[str] = ("held_out_loss",)
) -> None:
    """Draw measures against millions of tokens, a panel each, a line with its own dashes per run.

    Args:
        curves: by name, the points of a training report.
        file: `.png`, `.svg` or `.pdf`.
        measures: keys of the points; training loss is drawn thin beside `held_out_loss`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(measures), 2.7), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    for panel, measure in zip(panels, measures, strict=True):
        for number, (name, curve) in enumerate(curves.items()):
            points = [(p["tokens"] / 1e6, p[measure]) for p in curve if p.get(measure) is not None]
            label = name if len(curves) > 1 else "held-out text"
            style: Any = {"color": f"C{number}", "linestyle": DASHES[number % len(DASHES)]}
            marker = MARKERS[number % len(MARKERS)]
            panel.plot(
                [x for x, _ in points],
                [y for _, y in points],
                marker=marker,
                markersize=3,
                linewidth=1.2,
                label=label,
                **style,
            )
            if measure == "held_out_loss" and len(curves) == 1:
                training = [
                    (p["tokens"] / 1e6, p["train_loss"])
                    for p in curve
                    if p.get("train_loss") is not None
                ]
                panel.plot(
                    [x for x, _ in training],
                    [y for _, y in training],
                    color="0.55",
                    linewidth=0.8,
                    label="training text",
                )
        panel.set_xlabel("tokens (millions)")
        panel.set_ylabel(LABELS.get(measure, measure.replace("_", " ")))
        if measure != "held_out_loss":
            panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3, linewidth=0.5)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(fontsize=7, frameon=False)
    figure.savefig(file, dpi=160)
