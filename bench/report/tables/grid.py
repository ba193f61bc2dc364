"""A table of texts, before it is printed in any format (`fewbench.report.render`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class GridCell(NamedTuple):
    """A cell as shown, and its place among those compared: 1 is best, 2 second, 0 any other."""

    text: str
    place: int = 0


class Grid(NamedTuple):
    """A table: a caption, a header (a part may have several lines), rows, and notes on its marks.

    The first `labels` columns name the row. A terminal folds them to `label_width` columns each, or
    to half of its own.
    """

    caption: str
    header: list[str]
    rows: list[list[GridCell]]
    notes: list[str]
    labels: int = 1
    label_width: int | None = None


def places(means: Sequence[float | None], digits: int = 1) -> list[int]:
    """Rank means as they are printed: 1 the best, 2 the second, 0 the rest or a lone one."""
    rounded = [None if mean is None else round(mean, digits) for mean in means]
    known = [value for value in rounded if value is not None]
    if len(known) < 2:
        return [0] * len(rounded)
    best = sorted(set(known), reverse=True)[:2]
    return [best.index(value) + 1 if value in best else 0 for value in rounded]
