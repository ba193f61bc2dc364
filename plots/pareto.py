"""Score against cost, and the front of what no other method beats in both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.figures import Material, Panel, by_name, panels, score
from fewbench.plots._points import Point, draw_points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COSTS = {
    "latency": ("latency_ms", "ms an example"),
    "flops": ("gflops", "GFLOPs an example"),
    "parameters": ("parameters_m", "parameters (millions)"),
    "memory": ("memory_mb", "peak memory (MB)"),
}


def draw(material: Material, *, cost: str = "latency") -> Figure:
    """Draw a panel for each task and K whose runs have their cost measured."""
    if cost not in COSTS:
        raise BenchError(f"no cost is called '{cost}'", allowed=COSTS, given=cost, fix="pareto:cost=latency")
    key, title = COSTS[cost]
    found: dict[Panel, dict[str, Point]] = {}
    for panel, records in panels(material.records).items():
        for name, some in by_name(records).items():
            costs = [(measured, record) for record in some for measured in material.measured(record, "cost")[:1]]
            pairs = [(float(m.scores[key]), score(record)) for m, record in costs if m.scores.get(key) is not None]
            if pairs:
                found.setdefault(panel, {})[name] = Point([x for x, _ in pairs], [y for _, y in pairs])
    if not found:
        problem = f"pareto needs runs with a measured cost ({key}), and none are stored"
        raise BenchError(problem, fix="bench run … --keep-models, then bench cost")
    figure, drawn = draw_points(found, title, "test score")
    for panel, axes in drawn.items():
        front = pareto_front(point.mean for point in found[panel].values())
        xs, ys = [x for x, _ in front], [y for _, y in front]
        axes.step(xs, ys, where="post", color="0.45", linewidth=0.8, zorder=0.5)
        axes.set_xscale("log")
    return figure


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (cost, score) that no other beats: none cheaper or as cheap has a score as high. Cheapest first."""
    front: list[tuple[float, float]] = []
    for cost, gained in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or gained > front[-1][1]:
            front.append((cost, gained))
    return front
