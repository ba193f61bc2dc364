"""Error rate and entropy of the classifier after each layer of early exit: thesis Figure 3.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._style import PanelRow, fill_band, line_look, mean_and_band, stack
from fewbench.report.figures import Material, Panel, by_name, chunks, panels, titles
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAKE = (
    "bench run --methods pabee --tasks sst-2 --keep-models, then bench layers pabee/sst-2/k16/s13"
)
SIDES = (("error", 100.0, "error rate (%)"), ("entropy", 1.0, "entropy (nats)"))
PER_ROW = 6

ByLayer = Mapping[str, Sequence[Sequence[float]]]
"""For `error` and `entropy`: the figures by layer of each run."""


def draw(material: Material) -> Figure:
    """Draw two panels for each task and K: the error rate by layer, the entropy beside it."""
    found: dict[Panel, dict[str, ByLayer]] = {}
    for panel, records in panels(material.records).items():
        for name, runs in by_name(records, material.records).items():
            if by_layer := _by_layer(runs, material):
                found.setdefault(panel, {})[name] = by_layer
    if not found:
        raise BenchError(
            "error-entropy needs runs of early exit whose layers were measured; none are stored",
            fix=MAKE,
        )
    order = sorted(set().union(*found.values()))
    panel_titles = titles(list(found))
    slots: list[tuple[Panel, list[str]]] = []
    for panel, by_method in found.items():
        slots += [(panel, group) for group in chunks(sorted(by_method), PER_ROW)]
    figure, rows = stack([names for _, names in slots], 2)
    for row, (panel, names) in zip(rows, slots, strict=True):
        _draw_row(row, {name: found[panel][name] for name in names}, order)
        row.panels[0].set_title(panel_titles[panel])
    return figure


def _by_layer(records: Sequence[Record], material: Material) -> ByLayer:
    """Return the figures by layer of the runs that were measured; empty if none was."""
    measurements = [found for record in records for found in material.measured(record, "layers")]
    if not measurements:
        return {}
    by_layer: dict[str, list[list[float]]] = {}
    for key, _, _ in SIDES:
        by_layer[key] = [list(found.scores[key]) for found in measurements]
    return by_layer


def _draw_row(row: PanelRow, by_name: Mapping[str, ByLayer], order: Sequence[str]) -> None:
    handles: list[Artist] = []
    for axes, (key, scale, title) in zip(row.panels, SIDES, strict=True):
        handles = [
            _line(axes, by_layer[key], scale, name, order.index(name))
            for name, by_layer in by_name.items()
        ]
        axes.set_ylabel(title)
        axes.set_xlabel("layer")
        axes.locator_params(axis="x", nbins=12, integer=True)
    row.legend(handles)


def _line(
    axes: Axes, runs: Sequence[Sequence[float]], scale: float, name: str, number: int
) -> Artist:
    """Draw the mean over split seeds, and one standard deviation around it."""
    points: list[tuple[float, float]] = []
    for layer in zip(*runs, strict=True):
        points.append(mean_and_band([scale * value for value in layer]))
    means, stds = zip(*points, strict=True)
    layers = range(1, len(points) + 1)
    look = line_look(number)
    (line,) = axes.plot(layers, means, label=name, **look)
    fill_band(axes, list(layers), means, stds, look["color"])
    return line
