"""Draw lines with bands: a panel per task and six methods, the reference in each, legends below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fewbench.plots._style import (
    fill_band,
    in_rows,
    line_look,
    mean_and_band,
    notes_below,
    spread_note,
    stack,
)
from fewbench.report.figures import Panel, chunks, titles

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_PANEL, PER_ROW = 6, 3
REFERENCE = "ft"
APART = 0.13
"""The least distance of two labels below an axis, as a share of its length."""

Curve = Mapping[float, Sequence[float]]
"""Scores of each split seed in hundredths, by the place on the x axis."""
Curves = Mapping[str, Curve]
"""Curves of a panel, by method."""


class Slot(NamedTuple):
    """A part of the figure: a panel and the methods drawn in it."""

    panel: Panel
    methods: list[str]


def draw_curves(
    curves: Mapping[Panel, Curves],
    dress: Callable[[Axes, list[float]], None],
    *,
    joined: bool = True,
    levels: Callable[[Axes, Panel], Sequence[Artist]] = lambda axes, panel: (),
    score_name: str = "test score",
) -> Figure:
    """Draw means and one standard deviation over split seeds.

    Args:
        curves: by method, by panel.
        dress: sets up the x axis of a panel with the given places.
        joined: draw one line through the places; else points with bars, side by side.
        levels: draws horizontal lines and returns them.
        score_name: of the y axes, which name the metric in the place of "score".
    """
    order = _order(curves)
    panel_titles = titles(list(curves))
    rows = _rows(curves, _groups(order))
    figure, parts = stack([_names(row) for row in rows], max(map(len, rows)), noted=True)
    note = spread_note("band" if joined else "bar", _counts(curves))
    notes = notes_below(len(rows), note)
    above: list[Panel] = []
    for part, row, below in zip(parts, rows, notes, strict=True):
        handles: dict[str, Artist] = {}
        shown = [slot.panel for slot in row]
        for axes, slot in zip(part.panels, row, strict=False):
            for name, line in _lines(axes, curves[slot.panel], slot, order, joined=joined).items():
                handles.setdefault(name, line)
            handles |= {str(line.get_label()): line for line in levels(axes, slot.panel)}
            dress(axes, _places(curves[slot.panel]))
            _same_height(axes, curves[slot.panel])
            if shown != above:
                axes.set_title(panel_titles[slot.panel])
            if row is not rows[-1]:
                axes.set_xlabel("")
        above = shown
        part.label_scores(shown, score_name)
        part.trim(len(row))
        part.legend(handles.values(), below)
    return figure


def _counts(curves: Mapping[Panel, Curves]) -> list[int]:
    """Return the number of split seeds of each point."""
    counts: list[int] = []
    for by_method in curves.values():
        for curve in by_method.values():
            counts += map(len, curve.values())
    return counts


def _rows(curves: Mapping[Panel, Curves], groups: Sequence[list[str]]) -> list[Sequence[Slot]]:
    """Lay out tasks side by side, their groups of methods below; or one task's groups in rows.

    A task has no part for a group of which it has no method besides the reference.
    """
    panels = list(curves)
    if len(panels) == 1:
        return in_rows([Slot(panels[0], group) for group in groups], PER_ROW)
    rows: list[Sequence[Slot]] = []
    for band in in_rows(panels, PER_ROW):
        for group in groups:
            slots = [Slot(panel, group) for panel in band if _has_some(curves[panel], group)]
            rows += [slots] if slots else []
    return rows


def _has_some(curves: Curves, group: Sequence[str]) -> bool:
    """Say if there are curves of a group's methods besides the reference's, or of that alone."""
    return bool(curves.keys() & {*group} - {REFERENCE}) or curves.keys() == {REFERENCE}


def _names(row: Sequence[Slot]) -> list[str]:
    """Return the methods of a row's legend, each once."""
    names: dict[str, None] = {}
    for slot in row:
        names |= dict.fromkeys(slot.methods)
    return list(names)


def _order(curves: Mapping[Panel, Curves]) -> list[str]:
    """Return all methods: the reference, then by mean over tasks at each curve's last place."""
    last: dict[str, list[float]] = {}
    for by_method in curves.values():
        for name, curve in by_method.items():
            last.setdefault(name, []).append(mean_and_band(curve[max(curve)])[0])
    return sorted(last, key=lambda name: (name != REFERENCE, -mean_and_band(last[name])[0], name))


def _groups(order: Sequence[str]) -> list[list[str]]:
    """Return the methods of each panel; the reference is in all."""
    if len(order) <= PER_PANEL:
        return [list(order)]
    reference = [name for name in order if name == REFERENCE]
    others = [name for name in order if name != REFERENCE]
    return [[*reference, *group] for group in chunks(others, PER_PANEL - len(reference))]


def _lines(
    axes: Axes, curves: Curves, slot: Slot, order: Sequence[str], *, joined: bool
) -> dict[str, Artist]:
    """Draw the curves of a slot's methods."""
    lines: dict[str, Artist] = {}
    for place, name in enumerate(slot.methods):
        if curve := curves.get(name):
            shift = 0.0 if joined else 0.11 * (place - (len(slot.methods) - 1) / 2)
            lines[name] = _line(axes, curve, name, order.index(name), shift, joined=joined)
    return lines


def _line(axes: Axes, curve: Curve, name: str, number: int, shift: float, *, joined: bool) -> Any:
    look = line_look(number)
    places = sorted(curve)
    means, stds = zip(*(mean_and_band(curve[x]) for x in places), strict=True)
    if not joined:
        look["linestyle"] = "none"
        shifted = [x + shift for x in places]
        return axes.errorbar(shifted, means, stds, label=name, elinewidth=0.8, **look)
    (line,) = axes.plot(places, means, label=name, **look)
    fill_band(axes, places, means, stds, look["color"])
    return line


def _places(curves: Curves) -> list[float]:
    """Return the places of all curves in order."""
    places: set[float] = set()
    for curve in curves.values():
        places |= curve.keys()
    return sorted(places)


def _same_height(axes: Axes, curves: Curves) -> None:
    """Give all panels of a task the same y axis, whichever methods are drawn in them."""
    ends: list[float] = []
    for curve in curves.values():
        for scores in curve.values():
            mean, std = mean_and_band(scores)
            ends += [mean - std, mean + std]
    low, high = axes.get_ylim()
    margin = 0.04 * (max(ends) - min(ends) or 1)
    axes.set_ylim(min(low, min(ends) - margin), max(high, max(ends) + margin))


def label_some(
    axes: Axes, places: Sequence[float], scale: Callable[[float], float] = float
) -> None:
    """Label the places on the x axis, from the smallest on, but for those too near to the last."""
    length = scale(places[-1]) - scale(places[0])
    shown: list[float] = []
    for place in places:
        if not shown or scale(place) - scale(shown[-1]) >= APART * length:
            shown.append(place)
    axes.set_xticks(shown, [f"{place:g}" for place in shown])
