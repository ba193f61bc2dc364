"""Published numbers as cells of our tables: beside each of our cells what the papers print for its method and task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fewbench.published import Beside, Published, beside
from fewbench.tables.blocks import Block, Column, Row, to_rows
from fewbench.tables.pivot import Entry

ALIKE = "same backbone, K and protocol"


def published_entries(blocks: Iterable[Block], numbers: Sequence[Published]) -> list[Entry]:
    """Return the published numbers of all methods and tasks in some blocks, in rows of their own."""
    return [
        Entry(
            row,
            column,
            block.k,
            block.protocol,
            block.limit,
            block.drop_leaks,
            block.ddof,
            mean=cell.value,
            std=cell.std,
            n=cell.n,
            source=cell.source,
            mark=cell.mark or ALIKE,
        )
        for block in blocks
        for row, column, cell in _near(block, numbers)
    ]


def published_rows(blocks: Sequence[Block], numbers: Sequence[Published]) -> list[dict[str, Any]]:
    """Return every cell as plain values, ours with `published` and `mark` empty, and the papers' after them."""
    ours = [{**row, "published": None, "mark": None} for row in to_rows(blocks)]
    blank = dict.fromkeys(ours[0]) if ours else {}
    theirs = [
        {
            **blank,
            "task": column.task,
            "metric": column.metric,
            "positive": column.positive or None,
            "method": cell.method,
            "student": row.student or None,
            "k": cell.k or None,
            "mean": cell.value,
            "std": cell.std,
            "n": cell.n,
            "published": cell.source,
            "mark": cell.mark,
        }
        for block in blocks
        for row, column, cell in _near(block, numbers)
    ]
    return ours + theirs


def _near(block: Block, numbers: Sequence[Published]) -> Iterator[tuple[Row, Column, Beside]]:
    for row, column in block.cells:
        place = {"method": row.method, "task": column.task, "metric": column.metric}
        for cell in beside(numbers, **place, k=block.k, protocol=block.protocol, student=row.student):
            yield row, column, cell
