"""Facts known in the course of pretraining, by masking strategy: thesis Figures 7.3 and 7.6.

From the reports under `<results>/pretraining/masking/`, one file per strategy and seed: LAMA's
macro average and the held-out loss. `masking:of=repetition` is Figure 7.6, InforMask's masks
repeated in every epoch beside token-specific rates, from a folder of that name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._style import fill_band, line_look, mean_and_band, stack
from fewbench.report.figures import Material
from fewbench.types import Json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = Sequence[Json]
"""The points of a training report."""

MEASURES = {"mrr": "LAMA MRR (macro, × 100)", "held_out_loss": "masked-word loss (nats)"}
MAKE = "python scripts/compare_masking.py --corpus … --data … --out …"
FOLDERS = ("masking", "repetition")


def draw(material: Material, *, of: str = "masking") -> Figure:
    """Draw two panels, facts known and held-out loss, against the tokens trained on."""
    if of not in FOLDERS:
        raise BenchError(f"the figure 'masking' has none of '{of}'", allowed=FOLDERS, given=of)
    folder = material.store.root / "pretraining" / of
    curves: dict[str, list[Curve]] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            report = json.loads(file.read_text("utf-8"))
            curves.setdefault(report["recipe"]["masking"], []).append(report["curve"])
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError("not a report of a pretraining", where=str(file), fix=MAKE) from error
    if not curves:
        raise BenchError(
            "masking needs reports of pretrainings, and none are stored",
            where=str(folder),
            fix=MAKE,
        )
    figure, (row,) = stack([list(curves)], 2)
    handles = {}
    for axes, (measure, title) in zip(row.panels, MEASURES.items(), strict=True):
        for number, (name, runs) in enumerate(curves.items()):
            tokens, means, stds = _curve(runs, measure, 100 if measure == "mrr" else 1)
            look = line_look(number)
            (handles[name],) = axes.plot(tokens, means, label=name, **look)
            fill_band(axes, tokens, means, stds, look["color"])
        axes.set_xlabel("tokens (millions)")
        axes.set_ylabel(title)
    row.legend(handles.values())
    return figure


def _curve(runs: Sequence[Curve], measure: str, scale: float) -> tuple[list[float], ...]:
    """Return tokens, means and standard deviations over seeds at each point that all have."""
    tokens, means, stds = [], [], []
    for point in zip(*runs, strict=False):
        values = [run.get(measure) for run in point]
        if None not in values:
            mean, std = mean_and_band([scale * run[measure] for run in point])
            tokens.append(point[0]["tokens"] / 1e6)
            means.append(mean)
            stds.append(std)
    return tokens, means, stds
