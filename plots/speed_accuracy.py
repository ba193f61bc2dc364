"""Score against speed-up of early exit, a line per rule, a mark per setting: thesis Figure 3.3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._style import (
    Look,
    in_rows,
    line_look,
    mean_and_band,
    notes_below,
    spread_note,
    stack,
)
from fewbench.report.figures import Material, Panel, by_name, panels, score, titles
from fewbench.store.cell import label
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KNOBS = ("patience", "threshold", "depth")
MAKE = (
    "bench run --methods pabee:patience=1,pabee:patience=2,pabee:rule=confidence,threshold=0.8 "
    "--tasks sst-2"
)
PER_ROW = 3


def draw(material: Material) -> Figure:
    """Draw a panel for each task and K: the methods that exit early, and the level of `ft`."""
    groups = panels(material.records)
    lines = {panel: rules for panel, records in groups.items() if (rules := _lines(records))}
    if not lines:
        raise BenchError("speed-accuracy needs runs of early exit, and none are stored", fix=MAKE)
    all_names: set[str] = set().union(*lines.values())
    names = sorted(all_names)
    panel_titles = titles(list(lines))
    bands = in_rows(list(lines), PER_ROW)
    columns = min(len(lines), PER_ROW)
    figure, rows = stack([[*names, "ft"] for _ in bands], columns, noted=True)
    notes = notes_below(len(rows), spread_note("", _counts(groups, lines)))
    for row, band, below in zip(rows, bands, notes, strict=True):
        handles: dict[str, Artist] = {}
        for axes, panel in zip(row.panels, band, strict=False):
            for name, points in lines[panel].items():
                xs, ys = zip(*points, strict=True)
                (line,) = axes.plot(xs, ys, label=name, **line_look(names.index(name)))
                handles.setdefault(name, line)
            if level := _level(axes, groups[panel]):
                handles["ft"] = level
            axes.set_title(panel_titles[panel])
            axes.set_xlabel("speed-up (layers / layers run)")
        row.label_scores(band, "test score")
        row.trim(len(band))
        row.legend(handles.values(), below)
    return figure


def _counts(groups: Mapping[Panel, Sequence[Record]], shown: Iterable[Panel]) -> list[int]:
    """Return the number of split seeds of each method in some panels."""
    counts: list[int] = []
    for panel in shown:
        records = groups[panel]
        early = [record for record in records if "exits" in record.details]
        counts += map(len, by_name(early).values())
    return counts


def _lines(records: Sequence[Record]) -> dict[str, list[tuple[float, float]]]:
    """Return the mean (speed-up, score) of each setting by rule, the slowest first."""
    points: dict[str, list[tuple[float, float]]] = {}
    early = [record for record in records if "exits" in record.details]
    for runs in by_name(early).values():
        run = runs[0].run
        settings = {key: value for key, value in run.settings.items() if key not in KNOBS}
        speed_up, _ = mean_and_band([record.details["exits"]["speed_up"] for record in runs])
        accuracy, _ = mean_and_band([score(record) for record in runs])
        points.setdefault(label(run.method, settings), []).append((speed_up, accuracy))
    return {rule: sorted(pairs) for rule, pairs in points.items()}


def _level(axes: Axes, records: Sequence[Record]) -> Artist | None:
    """Draw the mean score of `ft` with its default settings, if there are such runs."""
    plain = [r for r in records if r.run.method == "ft" and not r.run.settings]
    if not plain:
        return None
    mean, _ = mean_and_band([score(record) for record in plain])
    look: Look = {"color": "0.45", "linestyle": (0, (1, 1.2)), "linewidth": 0.9}
    return axes.axhline(mean, label="ft, all layers", **look)
