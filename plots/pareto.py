"""Score against cost (latency, macs, parameters, size or memory), with the Pareto front.

`pareto:cost=latency` is the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from fewbench.errors import BenchError
from fewbench.plots._points import Point, draw_points, point_of
from fewbench.report.figures import Material, Panel, by_name, panels, score
from fewbench.report.tables.measures import MeasuredScores, at, latency
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Cost(NamedTuple):
    """A cost: how to look it up in a measurement's scores, and the label of its axis."""

    of: Callable[[MeasuredScores], float | None]
    title: str


COSTS = {
    "latency": Cost(latency, "ms an example, one at a time"),
    "macs": Cost(
        at("macs", "model", "total", times=1e-6), "million multiply-accumulates an example"
    ),
    "parameters": Cost(at("parameters", "total", times=1e-6), "parameters (millions)"),
    "size": Cost(at("bytes", times=2**-20), "stored model (MiB)"),
    "memory": Cost(at("peak_memory_mib"), "peak memory (MiB)"),
}


def draw(material: Material, *, cost: str = "latency") -> Figure:
    """Draw a panel for each task and K whose runs have their cost measured."""
    if cost not in COSTS:
        raise BenchError(
            f"no cost is called '{cost}'", allowed=COSTS, given=cost, fix="pareto:cost=latency"
        )
    points: dict[Panel, dict[str, Point]] = {}
    for panel, records in panels(material.records).items():
        for name, runs in by_name(records, material.records).items():
            pairs = [_pair(record, material, COSTS[cost]) for record in runs]
            if point := point_of(pairs):
                points.setdefault(panel, {})[name] = point
    if not points:
        fix = "bench run --methods ft,prompt-ft --tasks sst-2 --keep-models, then bench cost KEY …"
        raise BenchError(
            f"pareto needs runs whose {cost} was measured, and none are stored", fix=fix
        )
    figure, drawn = draw_points(points, COSTS[cost].title, "test score")
    for panel, axes in drawn.items():
        _draw_front(axes, points[panel])
    return figure


def _draw_front(axes: Axes, points: Mapping[str, Point]) -> None:
    front = pareto_front(point.mean for point in points.values())
    xs, ys = zip(*front, strict=True)
    axes.step(xs, ys, where="post", color="0.45", linewidth=0.8, zorder=0.5)


def _pair(record: Record, material: Material, cost: Cost) -> tuple[float, float] | None:
    """Return a run's cost and score, or None if the cost is unknown."""
    measurements = material.measured(record, "cost")
    value = cost.of(measurements[0].scores) if measurements else None
    return None if value is None else (value, score(record))


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (cost, score) pairs that no other beats, the cheapest first.

    A pair is beaten by one that costs no more and scores at least as high.
    """
    front: list[tuple[float, float]] = []
    for cost, reached in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or reached > front[-1][1]:
            front.append((cost, reached))
    return front
