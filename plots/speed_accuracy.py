"""Score against speed-up of early exit, a line a rule, a mark a threshold or patience: thesis
Figure 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fewbench.errors import BenchError
from fewbench.plots._style import line_look, mean_and_band, stack
from fewbench.report.figures import Material, by_name, panels, score, titles
from fewbench.store.cell import label
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KNOBS = ("patience", "threshold", "depth")
MAKE = "bench run --methods pabee:patience=1,pabee:patience=2,pabee:rule=confidence,threshold=0.8 --tasks sst-2"
PER_ROW = 3


def draw(material: Material) -> Figure:
    """Draw a panel for each task and K; methods that do not exit early are left out, but for the
    level of `ft`.
    """
    groups = panels(material.records)
    found = {panel: lines for panel, records in groups.items() if (lines := _lines(records))}
    if not found:
        raise BenchError("speed-accuracy needs runs of early exit, and none are stored", fix=MAKE)
    names = sorted({name for lines in found.values() for name in lines})
    shown = list(found)
    called = titles(shown)
    bands = [shown[start : start + PER_ROW] for start in range(0, len(shown), PER_ROW)]
    figure, rows = stack([[*names, "ft"] for _ in bands], min(len(shown), PER_ROW))
    for row, band in zip(rows, bands, strict=True):
        handles: dict[str, Any] = {}
        for axes, panel in zip(row.panels, band, strict=False):
            for name, points in found[panel].items():
                xs, ys = zip(*points, strict=True)
                (line,) = axes.plot(xs, ys, label=name, **line_look(names.index(name)))
                handles.setdefault(name, line)
            handles |= _level(axes, groups[panel])
            axes.set_title(called[panel])
            axes.set_xlabel("speed-up (layers / layers run)")
        row.panels[0].set_ylabel("test score")
        for axes in row.panels[len(band) :]:
            axes.remove()
        row.legend(list(handles.values()))
    return figure


def _lines(records: Sequence[Record]) -> dict[str, list[tuple[float, float]]]:
    """Return the (speed-up, score) of each rule, a pair a setting of its knob, means over seeds,
    slowest first.
    """
    points: dict[str, dict[str, list[Record]]] = {}
    for name, some in by_name([record for record in records if "exits" in record.details]).items():
        run = some[0].run
        rule = label(
            run.method, {key: value for key, value in run.settings.items() if key not in KNOBS}
        )
        points.setdefault(rule, {})[name] = some
    return {
        rule: sorted(
            (
                mean_and_band([r.details["exits"]["speed_up"] for r in some])[0],
                mean_and_band([*map(score, some)])[0],
            )
            for some in variants.values()
        )
        for rule, variants in points.items()
    }


def _level(axes: Axes, records: Sequence[Record]) -> dict[str, Any]:
    plain = [
        score(record) for record in records if record.run.method == "ft" and not record.run.settings
    ]
    if not plain:
        return {}
    style: dict[str, Any] = {"color": "0.45", "linestyle": (0, (1, 1.2)), "linewidth": 0.9}
    return {"ft": axes.axhline(mean_and_band(plain)[0], label="ft, all layers", **style)}
