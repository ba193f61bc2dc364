"""Every run a dot: the score of each split seed, methods one below the other, their mean a bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._style import COLUMN, PAGE, mean_and_band
from fewbench.report.figures import Material, by_name, panels, score, titles
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_ROW = 4


def draw(material: Material) -> Figure:
    """Draw a panel a task and K; rows of methods are the same in all panels of a line."""
    from matplotlib.figure import Figure

    found = panels(material.records)
    if not found:
        raise BenchError(
            "there are no runs to draw", fix="bench run --methods ft,prompt-ft --tasks sst-2"
        )
    called = titles(list(found))
    names = _order(by_name(material.records))
    widest = max(map(len, called.values()))
    room = PAGE - 0.058 * max(map(len, names))  # the names stand left of the first panel
    columns = min(len(found), PER_ROW, max(1, int(room / (0.065 * widest + 0.15))))
    lines = -(-len(found) // columns)
    width = COLUMN if columns == 1 else PAGE
    figure = Figure(figsize=(width, lines * (0.55 + 0.145 * len(names))), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for one, (panel, records) in zip(axes, found.items(), strict=False):
        runs = by_name(records, material.records)
        _dots(one, [runs.get(name, []) for name in names])
        one.set_title(called[panel])
    for one in axes[len(found) :]:
        one.remove()
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    figure.supxlabel("test score of each split seed (dot), mean (bar)", fontsize=7)
    return figure


def _order(runs: Mapping[str, Sequence[Record]]) -> list[str]:
    """Return methods, the best mean over all their runs first."""
    return sorted(
        runs, key=lambda name: (-mean_and_band([score(record) for record in runs[name]])[0], name)
    )


def _dots(axes: Axes, rows: Sequence[Sequence[Record]]) -> None:
    for row, records in enumerate(rows):
        scores = [score(record) for record in records]
        if not scores:
            continue
        axes.plot(
            scores,
            [row] * len(scores),
            "o",
            color="0.25",
            markerfacecolor="none",
            markersize=3.2,
            clip_on=False,
        )
        axes.plot(
            [mean_and_band(scores)[0]] * 2, [row - 0.36, row + 0.36], color="black", linewidth=1.6
        )
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
