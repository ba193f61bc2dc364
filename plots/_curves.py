"""Lines with bands: a panel a task and six methods, the reference in each, legends below each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fewbench.plots._style import line_look, mean_and_band, stack
from fewbench.report.figures import Panel, chunks, titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_PANEL, PER_ROW = 6, 3
REFERENCE = "ft"

Curve = Mapping[float, Sequence[float]]
"""Scores of each split seed in hundredths, by the place on the x axis."""


def draw_curves(
    found: Mapping[Panel, Mapping[str, Curve]],
    dress: Callable[[Axes, list[float]], None],
    *,
    joined: bool = True,
    levels: Callable[[Axes, Panel], Sequence[Any]] = lambda axes, panel: (),
) -> Figure:
    """Draw means and one standard deviation over split seeds.

    Args:
        found: curves by method, by panel.
        dress: gives a panel its x axis, whose places it is told.
        joined: whether places are points of one line; else they stand side by side with bars.
        levels: draws horizontal lines and returns them.
    """
    order = _order(found)
    shown = list(found)
    called = titles(shown)
    rows = _rows(shown, _groups(order))
    names = [list(dict.fromkeys(name for _, group in row for name in group)) for row in rows]
    figure, parts = stack(names, len(rows[0]))
    for number, (part, row) in enumerate(zip(parts, rows, strict=True)):
        handles: dict[str, Any] = {}
        for axes, (panel, group) in zip(part.panels, row, strict=False):
            for place, name in enumerate(group):
                if curve := found[panel].get(name):
                    shift = 0.0 if joined else 0.11 * (place - (len(group) - 1) / 2)
                    handles.setdefault(
                        name, _line(axes, curve, name, order.index(name), shift, joined=joined)
                    )
            handles |= {line.get_label(): line for line in levels(axes, panel)}
            dress(axes, sorted({x for curve in found[panel].values() for x in curve}))
            _same_height(axes, found[panel])
            if number == 0 or panel not in {before for before, _ in rows[number - 1]}:
                axes.set_title(called[panel])
            if number < len(rows) - 1:
                axes.set_xlabel("")
        part.panels[0].set_ylabel("test score")
        for axes in part.panels[len(row) :]:
            axes.remove()
        part.legend(list(handles.values()))
    return figure


def _rows(
    shown: Sequence[Panel], groups: Sequence[list[str]]
) -> list[list[tuple[Panel, list[str]]]]:
    """Return what stands where: tasks side by side and groups of methods below, or the groups of
    one task in lines.
    """
    if len(shown) == 1:
        cells = [(shown[0], group) for group in groups]
        return [cells[start : start + PER_ROW] for start in range(0, len(cells), PER_ROW)]
    bands = [shown[start : start + PER_ROW] for start in range(0, len(shown), PER_ROW)]
    return [[(panel, group) for panel in band] for band in bands for group in groups]


def _order(found: Mapping[Panel, Mapping[str, Curve]]) -> list[str]:
    """Return all methods: the reference first, then by their mean over tasks at the last place each
    has.
    """
    last: dict[str, list[float]] = {}
    for curves in found.values():
        for name, curve in curves.items():
            last.setdefault(name, []).append(mean_and_band(curve[max(curve)])[0])
    return sorted(last, key=lambda name: (name != REFERENCE, -mean_and_band(last[name])[0], name))


def _groups(order: Sequence[str]) -> list[list[str]]:
    """Return the methods of each panel; the reference stands in all."""
    if len(order) <= PER_PANEL:
        return [list(order)]
    reference = [name for name in order if name == REFERENCE]
    return [
        [*reference, *group]
        for group in chunks([n for n in order if n != REFERENCE], PER_PANEL - len(reference))
    ]


def _line(axes: Axes, curve: Curve, name: str, number: int, shift: float, *, joined: bool) -> Any:
    look = line_look(number)
    places = sorted(curve)
    means, bands = zip(*(mean_and_band(curve[x]) for x in places), strict=True)
    if not joined:
        look["linestyle"] = "none"
        bars = axes.errorbar(
            [x + shift for x in places], means, bands, label=name, elinewidth=0.8, **look
        )
        return bars
    (line,) = axes.plot(places, means, label=name, **look)
    low, high = ([m + sign * s for m, s in zip(means, bands, strict=True)] for sign in (-1, 1))
    axes.fill_between(places, low, high, color=look["color"], alpha=0.13, linewidth=0)
    return line


def _same_height(axes: Axes, curves: Mapping[str, Curve]) -> None:
    """Give all panels of a task one y axis, whichever methods stand in them."""
    ends = [
        m + sign * s
        for c in curves.values()
        for m, s in map(mean_and_band, c.values())
        for sign in (-1, 1)
    ]
    low, high = axes.get_ylim()
    margin = 0.04 * (max(ends) - min(ends) or 1)
    axes.set_ylim(min(low, min(ends) - margin), max(high, max(ends) + margin))
