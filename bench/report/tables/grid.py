"""A table as text, whatever it will be printed as (`fewbench.report.render`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class GridCell(NamedTuple):
    """A cell as shown, and its place among those it is compared with: 1 is best, 2 second, 0 any
    other.
    """

    text: str
    place: int = 0


class Grid(NamedTuple):
    """A table: a caption, a header (parts of several lines), rows, and notes on what is marked.

    The first `labels` columns say what a row is.
    """

    caption: str
    header: list[str]
    rows: list[list[GridCell]]
    notes: list[str]
    labels: int = 1


def places(means: Sequence[float | None], digits: int = 1) -> list[int]:
    """Return the place of each of some means as printed: 1 the best, 2 the second, 0 the rest, and
    a lone one.
    """
    shown = [None if mean is None else round(mean, digits) for mean in means]
    best = sorted({value for value in shown if value is not None}, reverse=True)[:2]
    if sum(value is not None for value in shown) < 2:
        return [0] * len(shown)
    return [best.index(value) + 1 if value in best else 0 for value in shown]
