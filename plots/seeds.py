"""Score of each run as a dot, methods below one another, their means as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from math import ceil
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._style import COLUMN, PAGE, Look, mean_and_band, score_label
from fewbench.report.figures import Material, by_name, panels, score, titles
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_ROW = 4
TITLE = 24
"""The characters of a panel's title that stand in one line."""


def draw(material: Material) -> Figure:
    """Draw a panel for each task and K; methods have the same rows in all panels of a line."""
    from matplotlib.figure import Figure

    groups = panels(material.records)
    if not groups:
        raise BenchError(
            "there are no runs to draw", fix="bench run --methods ft,prompt-ft --tasks sst-2"
        )
    panel_titles = {panel: _wrapped(title) for panel, title in titles(list(groups)).items()}
    names = _order(by_name(material.records))
    lines, columns, size = _shape([*panel_titles.values()], names)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for axes, panel in zip_longest(grid, groups):
        if panel is None:
            axes.remove()
            continue
        runs = by_name(groups[panel], material.records)
        _dots(axes, [runs.get(name, []) for name in names])
        axes.set_title(panel_titles[panel])
    grid[0].set_yticks(range(len(names)), names)
    grid[0].set_ylim(len(names) - 0.4, -0.6)
    metrics = {panel.cell.metric_name for panel in groups}
    name = score_label("test score", metrics)
    figure.supxlabel(f"{name} of each split seed (dot), mean (bar)", fontsize=7)
    return figure


def _wrapped(title: str) -> str:
    """Break a long title between its parts."""
    lines = [""]
    for part in title.split(" · "):
        joined = f"{lines[-1]} · {part}" if lines[-1] else part
        lines = [*lines[:-1], joined] if len(joined) <= TITLE else [*lines, part]
    return "\n".join(filter(None, lines))


def _shape(titles: Sequence[str], names: Sequence[str]) -> tuple[int, int, tuple[float, float]]:
    """Return the lines and columns of panels, and the inches of the figure."""
    title_lines = [title.splitlines() for title in titles]
    wanted = 0.065 * max(len(line) for lines in title_lines for line in lines) + 0.15
    left = 0.058 * max(map(len, names))  # the names stand left of the first panel
    columns = min(len(titles), PER_ROW, max(1, int((PAGE - left) / wanted)))
    lines = ceil(len(titles) / columns)
    width = COLUMN if columns == 1 and left + wanted < COLUMN else PAGE
    height = 0.43 + 0.12 * max(map(len, title_lines)) + 0.145 * len(names)
    return lines, columns, (width, lines * height)


def _order(runs: Mapping[str, Sequence[Record]]) -> list[str]:
    """Return methods, the best mean over all their runs first."""
    means = {name: mean_and_band([*map(score, records)])[0] for name, records in runs.items()}
    return sorted(runs, key=lambda name: (-means[name], name))


def _dots(axes: Axes, rows: Sequence[Sequence[Record]]) -> None:
    for row, records in enumerate(rows):
        scores = [score(record) for record in records]
        if not scores:
            continue
        dots: Look = {"color": "0.25", "markerfacecolor": "none", "markersize": 3.2}
        axes.plot(scores, [row] * len(scores), "o", clip_on=False, **dots)
        mean, _ = mean_and_band(scores)
        axes.plot([mean, mean], [row - 0.36, row + 0.36], color="black", linewidth=1.6)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
