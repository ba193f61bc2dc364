"""Score and speed-up against the patience of early exit: thesis Figure 3.4.

Fine-tuning without early exit is a horizontal line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fewbench.errors import BenchError
from fewbench.plots._style import (
    Look,
    PanelRow,
    fill_band,
    line_look,
    mean_and_band,
    score_label,
    spread_note,
    stack,
)
from fewbench.report.figures import Material, Panel, panels, score, titles
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAKE = (
    "bench run --methods pabee:patience=0,pabee:patience=1,pabee:patience=2,pabee:patience=3,ft "
    "--tasks sst-2"
)


class Runs(NamedTuple):
    """The runs of a task: those of early exit by patience, and those of fine-tuning."""

    by_patience: dict[int, list[Record]]
    plain: list[Record]


def draw(material: Material) -> Figure:
    """Draw two panels for each task and K: the score, and the speed-up beside it."""
    groups: dict[Panel, Runs] = {}
    for panel, records in panels(material.records).items():
        by_patience = _by_patience(records)
        if len(by_patience) > 1:
            plain = [record for record in records if record.run.method == "ft"]
            groups[panel] = Runs(by_patience, plain)
    if not groups:
        raise BenchError(
            "patience needs runs of early exit at two or more patiences, and none are stored",
            fix=MAKE,
        )
    panel_titles = titles(list(groups))
    figure, rows = stack([["pabee", "ft"]] * len(groups), 2, height=2.04)
    for row, (panel, runs) in zip(rows, groups.items(), strict=True):
        _draw_row(row, runs, panel.cell.metric_name)
        row.panels[0].set_title(panel_titles[panel])
    return figure


def _by_patience(records: Sequence[Record]) -> dict[int, list[Record]]:
    """Return the runs of early exit by their patience, the smallest first."""
    groups: dict[int, list[Record]] = {}
    for record in records:
        patience = record.run.settings.get("patience")
        if "exits" in record.details and isinstance(patience, int):
            groups.setdefault(patience, []).append(record)
    return dict(sorted(groups.items()))


def _draw_row(row: PanelRow, runs: Runs, metric: str) -> None:
    left, right = row.panels
    handles = [_line(left, runs.by_patience, score)]
    _line(right, runs.by_patience, _speed_up)
    if runs.plain:
        level, _ = mean_and_band([score(record) for record in runs.plain])
        look: Look = {"color": "0.45", "linestyle": "--", "linewidth": 0.9}
        handles.append(left.axhline(level, label="ft, all layers", **look))
    left.set_ylabel(score_label("test score", [metric]))
    right.set_ylabel("speed-up (layers)")
    row.legend(handles, spread_note("band", map(len, runs.by_patience.values())))


def _line(
    axes: Axes, runs: Mapping[int, Sequence[Record]], measure: Callable[[Record], float]
) -> Artist:
    """Draw a measure of runs against their patience."""
    patiences = list(runs)
    points = [mean_and_band([*map(measure, records)]) for records in runs.values()]
    means, stds = zip(*points, strict=True)
    (line,) = axes.plot(patiences, means, label="pabee", **line_look(0))
    fill_band(axes, patiences, means, stds, "black")
    axes.set_xlabel("patience t")
    axes.set_xticks(patiences)
    return line


def _speed_up(record: Record) -> float:
    return float(record.details["exits"]["speed_up"])
