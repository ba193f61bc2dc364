"""Score against cost (`pareto:cost=latency`, macs, parameters, size, memory), and the front that no
method beats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fewbench.errors import BenchError
from fewbench.plots._points import Point, draw_points
from fewbench.report.figures import Material, Panel, by_name, panels, score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COSTS: dict[str, tuple[tuple[str, ...], float, str]] = {
    "latency": (("latency_ms", "1", "model", "median"), 1, "ms an example, one at a time"),
    "macs": (("macs", "model", "total"), 1e-6, "million multiply-accumulates an example"),
    "parameters": (("parameters", "total"), 1e-6, "parameters (millions)"),
    "size": (("bytes",), 2**-20, "stored model (MiB)"),
    "memory": (("peak_memory_mib",), 1, "peak memory (MiB)"),
}
"""By name, where a measured cost has it, its scale, and the label of its axis."""


def draw(material: Material, *, cost: str = "latency") -> Figure:
    """Draw a panel for each task and K whose runs have their cost measured."""
    if cost not in COSTS:
        raise BenchError(
            f"no cost is called '{cost}'", allowed=COSTS, given=cost, fix="pareto:cost=latency"
        )
    path, scale, title = COSTS[cost]
    found: dict[Panel, dict[str, Point]] = {}
    for panel, records in panels(material.records).items():
        for name, some in by_name(records, material.records).items():
            costs = [
                (_at(measured.scores, path), r)
                for r in some
                for measured in material.measured(r, "cost")[:1]
            ]
            pairs = [(scale * value, score(record)) for value, record in costs if value is not None]
            if pairs:
                found.setdefault(panel, {})[name] = Point(
                    [x for x, _ in pairs], [y for _, y in pairs]
                )
    if not found:
        fix = "bench run --methods ft,prompt-ft --tasks sst-2 --keep-models, then bench cost KEY …"
        raise BenchError(
            f"pareto needs runs whose {cost} was measured, and none are stored", fix=fix
        )
    figure, drawn = draw_points(found, title, "test score")
    for panel, axes in drawn.items():
        front = pareto_front(point.mean for point in found[panel].values())
        xs, ys = [x for x, _ in front], [y for _, y in front]
        axes.step(xs, ys, where="post", color="0.45", linewidth=0.8, zorder=0.5)
    return figure


def _at(scores: Mapping[str, Any], path: Iterable[str]) -> float | None:
    value: Any = scores
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (cost, score) that no other beats: none cheaper or as cheap has a score as high.
    Cheapest first.
    """
    front: list[tuple[float, float]] = []
    for cost, gained in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or gained > front[-1][1]:
            front.append((cost, gained))
    return front
