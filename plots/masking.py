"""What models pretrained with different masks know, as they learn: LAMA's macro average, thesis
Figure 7.3.

From the reports of pretrainings kept under `<results>/pretraining/masking/`, one file a strategy
and seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fewbench.errors import BenchError
from fewbench.plots._style import line_look, mean_and_band, stack
from fewbench.report.figures import Material

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = {"mrr": "LAMA MRR (macro, × 100)", "held_out_loss": "masked-word loss (nats)"}
MAKE = "python scripts/compare_masking.py --corpus … --data … --out …"


def draw(material: Material) -> Figure:
    """Draw two panels, facts known and held-out loss, against the tokens trained on."""
    folder = material.store.root / "pretraining" / "masking"
    curves: dict[str, list[Sequence[Mapping[str, Any]]]] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            report = json.loads(file.read_text("utf-8"))
            curves.setdefault(report["recipe"]["masking"], []).append(report["curve"])
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError(
                "this is no report of a pretraining", where=str(file), fix=MAKE
            ) from error
    if not curves:
        raise BenchError(
            "masking needs reports of pretrainings, and none are kept", where=str(folder), fix=MAKE
        )
    figure, (row,) = stack([list(curves)], 2)
    handles = {}
    for axes, (measure, title) in zip(row.panels, MEASURES.items(), strict=True):
        for number, (name, runs) in enumerate(curves.items()):
            tokens, means, low, high = _band(runs, measure, 100 if measure == "mrr" else 1)
            look = line_look(number)
            handles[name] = axes.plot(tokens, means, label=name, **look)[0]
            axes.fill_between(tokens, low, high, color=look["color"], alpha=0.13, linewidth=0)
        axes.set_xlabel("tokens (millions)")
        axes.set_ylabel(title)
    row.legend(list(handles.values()))
    return figure


def _band(
    runs: Sequence[Sequence[Mapping[str, Any]]], measure: str, scale: float
) -> tuple[list[float], ...]:
    """Return tokens, mean, and mean ± std over seeds at each point that all have."""
    points = [p for p in zip(*runs, strict=False) if all(one.get(measure) is not None for one in p)]
    spread = [mean_and_band([scale * one[measure] for one in point]) for point in points]
    tokens = [point[0]["tokens"] / 1e6 for point in points]
    return tokens, [m for m, _ in spread], [m - s for m, s in spread], [m + s for m, s in spread]
