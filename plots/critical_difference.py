"""Draw average ranks on a line, methods without a significant difference joined by bars.

The critical-difference diagram of Demšar, 2006, "Statistical comparisons of classifiers over
multiple data sets", Figure 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fewbench.errors import visible
from fewbench.report.statistics.ranks import Ranking

LINE = 0.19
"""Inches from one name or bar to the next."""


def save(ranking: Ranking, file: Path) -> None:
    """Draw a ranking a column wide, the better half of the methods left, the others right.

    Args:
        ranking: of two methods or more.
        file: `.svg`, `.pdf` or `.png`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    k = len(ranking.methods)
    half = (k + 1) // 2
    bars = _levels(ranking.groups)
    below = 0.12 + LINE * (max(bars.values(), default=-1) + 1)
    height = 0.75 + below + LINE * half
    longest = max(map(len, ranking.methods))
    margin = min(0.35, 0.04 + 0.011 * (longest + 6))
    figure = Figure(figsize=(max(4.5, 3 + 0.12 * longest), height))
    axes = figure.add_axes((margin, 0, 1 - 2 * margin, 1))
    axes.set(xlim=(1, k), ylim=(-(below + LINE * half + 0.1), 0.65))
    axes.axis("off")
    _scale(axes, k, ranking.critical)
    for place, (name, rank) in enumerate(zip(ranking.methods, ranking.ranks, strict=True)):
        left = place < half
        y = -below - LINE * (place if left else k - 1 - place) - 0.05
        text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        _name(axes, text, rank, y, left)
    spare = 0.01 * (k - 1)
    for (first, last), level in bars.items():
        y = -0.1 - LINE * level
        ends = [ranking.ranks[first] - spare, ranking.ranks[last] + spare]
        axes.plot(ends, [y, y], color="0.35", linewidth=3.5)
    with rc_context({"svg.hashsalt": "fewbench"}):  # else its ids are drawn at random
        figure.savefig(file, dpi=200, bbox_inches="tight", metadata=_undated(file))


def _levels(groups: tuple[tuple[int, int], ...]) -> dict[tuple[int, int], int]:
    """Give each group's bar a level below the line, so that no two overlap."""
    levels: dict[tuple[int, int], int] = {}
    for group in groups:
        taken = {level for other, level in levels.items() if other[1] >= group[0]}
        levels[group] = next(level for level in range(len(groups)) if level not in taken)
    return levels


def _scale(axes: Any, k: int, critical: float) -> None:
    """Draw the line of ranks, and the critical difference above it where it fits on the line."""
    axes.plot([1, k], [0, 0], color="black", linewidth=1, clip_on=False)
    step = 1 if k <= 12 else 5
    for rank in [1, *range(step if step > 1 else 2, k + 1, step)]:
        axes.plot([rank, rank], [0, 0.07], color="black", linewidth=1, clip_on=False)
        axes.text(rank, 0.1, str(rank), ha="center", va="bottom", fontsize=8)
    ends = [1, 1 + min(critical, k - 1)]
    axes.plot(ends, [0.42, 0.42], "k|-", linewidth=1.2, markersize=6, clip_on=False)
    text = f"critical difference {critical:.2f}"
    if critical > k - 1:
        text += ", wider than the line"
    axes.text(1, 0.5, text, ha="left", va="bottom", fontsize=8)


def _name(axes: Any, text: str, rank: float, y: float, left: bool) -> None:
    """Write a method at the side, and draw a line from it to its rank."""
    low, high = axes.get_xlim()
    side = low if left else high
    gap = 0.015 * (high - low) * (-1 if left else 1)
    axes.plot([side + gap, rank, rank], [y, y, 0], color="0.5", linewidth=0.8, clip_on=False)
    aligned = {"ha": "right" if left else "left", "va": "center"}
    axes.text(side + 2 * gap, y, visible(text), fontsize=8, parse_math=False, **aligned)


def _undated(file: Path) -> dict[str, None]:
    """Return metadata without a date, so that the same figure gives the same bytes."""
    undated: dict[str, dict[str, None]] = {
        ".svg": {"Date": None},
        ".pdf": {"CreationDate": None},
    }
    return undated.get(file.suffix, {})
