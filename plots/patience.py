"""Score and speed-up against the patience of early exit, fine-tuning without it as a level: thesis
Figure 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._style import line_look, mean_and_band, stack
from fewbench.report.figures import Material, panels, score, titles
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAKE = "bench run --methods pabee:patience=0,pabee:patience=1,pabee:patience=2,pabee:patience=3,ft --tasks sst-2"


def draw(material: Material) -> Figure:
    """Draw two panels a task and K: the score above, the speed-up beside it."""
    found = {}
    for panel, records in panels(material.records).items():
        by_patience: dict[int, list[Record]] = {}
        for record in records:
            if "exits" in record.details and isinstance(record.run.settings.get("patience"), int):
                by_patience.setdefault(record.run.settings["patience"], []).append(record)
        if len(by_patience) > 1:
            found[panel] = (
                dict(sorted(by_patience.items())),
                [r for r in records if r.run.method == "ft"],
            )
    if not found:
        raise BenchError(
            "patience needs runs of early exit at two or more patiences, and none are stored",
            fix=MAKE,
        )
    called = titles(list(found))
    figure, rows = stack([["pabee", "ft"]] * len(found), 2)
    for row, (panel, (runs, plain)) in zip(rows, found.items(), strict=True):
        left, right = row.panels
        line = _band(left, runs, [[score(record) for record in some] for some in runs.values()])
        _band(
            right,
            runs,
            [[float(r.details["exits"]["speed_up"]) for r in some] for some in runs.values()],
        )
        handles = [line]
        if plain:
            level = mean_and_band([score(record) for record in plain])[0]
            handles.append(
                left.axhline(
                    level, color="0.45", linestyle="--", linewidth=0.9, label="ft, all layers"
                )
            )
        left.set_ylabel("test score")
        right.set_ylabel("speed-up (layers)")
        left.set_title(called[panel])
        row.legend(handles)
    return figure


def _band(
    axes: Axes,
    patiences: Sequence[int] | dict[int, list[Record]],
    values: Sequence[Sequence[float]],
) -> object:
    means, bands = zip(*map(mean_and_band, values), strict=True)
    (line,) = axes.plot(list(patiences), means, label="pabee", **line_look(0))
    low, high = ([m + sign * s for m, s in zip(means, bands, strict=True)] for sign in (-1, 1))
    axes.fill_between(list(patiences), low, high, color="black", alpha=0.13, linewidth=0)
    axes.set_xlabel("patience t")
    axes.set_xticks(list(patiences))
    return line
