"""Draw methods as points in a plane: a panel per task, a mark per method, one legend below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fewbench.plots._style import (
    Look,
    in_rows,
    mean_and_band,
    point_look,
    spread_note,
    stack,
)
from fewbench.report.figures import Panel, titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

PER_ROW = 3


class Point(NamedTuple):
    """A method's runs: x and y of each split seed."""

    x: Sequence[float]
    y: Sequence[float]

    @property
    def mean(self) -> tuple[float, float]:
        """The means of both."""
        return mean_and_band(self.x)[0], mean_and_band(self.y)[0]


def point_of(pairs: Iterable[tuple[float, float] | None]) -> Point | None:
    """Return the point of a method's runs with known x and y, or None if there are none."""
    known = [pair for pair in pairs if pair is not None]
    return Point([x for x, _ in known], [y for _, y in known]) if known else None


def draw_points(
    points: Mapping[Panel, Mapping[str, Point]], x: str, y: str
) -> tuple[Figure, dict[Panel, Axes]]:
    """Draw means over split seeds, with one standard deviation as thin bars.

    Args:
        points: by method, by panel.
        x: the label of the x axis.
        y: of the y axis; the metric stands in the place of "score".
    """
    names: set[str] = set().union(*points.values())
    order = sorted(names)
    panels = list(points)
    panel_titles = titles(panels)
    bands = in_rows(panels, PER_ROW)
    legends = [()] * (len(bands) - 1) + [order]
    figure, rows = stack(legends, min(len(panels), PER_ROW), height=2.2, noted=True)
    handles: dict[str, Line2D] = {}
    drawn: dict[Panel, Axes] = {}
    for row, band in zip(rows, bands, strict=True):
        for axes, panel in zip(row.panels, band, strict=False):
            for name, point in points[panel].items():
                handles.setdefault(name, _mark(axes, name, point, order.index(name)))
            axes.set_title(panel_titles[panel])
            axes.set_xlabel(x)
            drawn[panel] = axes
        row.label_scores(band, y)
        row.trim(len(band))
    note = spread_note("thin bars", _counts(points))
    rows[-1].legend((handles[name] for name in order), note)
    return figure, drawn


def _counts(points: Mapping[Panel, Mapping[str, Point]]) -> list[int]:
    """Return the number of split seeds of each point."""
    counts: list[int] = []
    for by_method in points.values():
        counts += (len(point.y) for point in by_method.values())
    return counts


def _mark(axes: Axes, name: str, point: Point, number: int) -> Line2D:
    x, x_std = mean_and_band(point.x)
    y, y_std = mean_and_band(point.y)
    bars: Look = {"fmt": "none", "ecolor": "0.75", "elinewidth": 0.6, "zorder": 1}
    axes.errorbar([x], [y], xerr=[x_std], yerr=[y_std], **bars)
    (mark,) = axes.plot([x], [y], label=name, **point_look(number))
    return mark
