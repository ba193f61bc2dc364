"""Methods as points in a plane: a panel a task, a mark a method, one legend below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fewbench.plots._style import mean_and_band, point_look, stack
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


def draw_points(
    found: Mapping[Panel, Mapping[str, Point]], x: str, y: str
) -> tuple[Figure, dict[Panel, Axes]]:
    """Draw means over split seeds, with one standard deviation as thin bars.

    Args:
        found: points by method, by panel.
        x: the label of the x axis.
        y: of the y axis.
    """
    order = sorted({name for points in found.values() for name in points})
    shown = list(found)
    called = titles(shown)
    bands = [shown[start : start + PER_ROW] for start in range(0, len(shown), PER_ROW)]
    figure, rows = stack([()] * (len(bands) - 1) + [order], min(len(shown), PER_ROW), height=2.2)
    handles: dict[str, Line2D] = {}
    drawn: dict[Panel, Axes] = {}
    for row, band in zip(rows, bands, strict=True):
        for axes, panel in zip(row.panels, band, strict=False):
            for name, point in found[panel].items():
                handles.setdefault(name, _mark(axes, name, point, order.index(name)))
            axes.set_title(called[panel])
            axes.set_xlabel(x)
            drawn[panel] = axes
        row.panels[0].set_ylabel(y)
        for axes in row.panels[len(band) :]:
            axes.remove()
    rows[-1].legend([handles[name] for name in order])
    return figure, drawn


def _mark(axes: Axes, name: str, point: Point, number: int) -> Line2D:
    look = point_look(number)
    (x, y), spreads = point.mean, (mean_and_band(point.x)[1], mean_and_band(point.y)[1])
    axes.errorbar(
        [x],
        [y],
        xerr=[spreads[0]],
        yerr=[spreads[1]],
        fmt="none",
        ecolor="0.75",
        elinewidth=0.6,
        zorder=1,
    )
    (mark,) = axes.plot([x], [y], label=name, **look)
    return mark
