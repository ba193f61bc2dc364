"""Published numbers as cells of our tables, in rows of their own backbones: what papers print for
methods we ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fewbench.report.published import Beside, Published, beside
from fewbench.report.tables.blocks import Block, TableRow, to_rows
from fewbench.report.tables.entry import Entry
from fewbench.store.cell import Entrant, TaskCell

ALIKE = "same K and protocol"


def published_entries(blocks: Iterable[Block], numbers: Sequence[Published]) -> list[Entry]:
    """Return the published numbers of all methods and tasks in some blocks, in rows of their own."""
    return [
        Entry(
            TableRow(Entrant(cell.method, cell.backbone)),
            column,
            block.terms,
            block.ddof,
            mean=cell.value,
            std=cell.std,
            n=cell.n,
            source=cell.source,
            mark=cell.mark or ALIKE,
        )
        for block in blocks
        for column, cell in _near(block, numbers)
    ]


def published_rows(blocks: Sequence[Block], numbers: Sequence[Published]) -> list[dict[str, Any]]:
    """Return every cell as plain values, ours with `published` and `mark` empty, and the papers'
    after them.
    """
    ours = [{**row, "published": None, "mark": None} for row in to_rows(blocks)]
    blank = dict.fromkeys(ours[0]) if ours else {}
    theirs = [
        {
            **blank,
            "task": column.task,
            "metric": column.metric,
            "positive": column.positive or None,
            "method": cell.method,
            "student": cell.backbone or None,
            "k": cell.k or None,
            "mean": cell.value,
            "std": cell.std,
            "n": cell.n,
            "published": cell.source,
            "mark": cell.mark,
        }
        for block in blocks
        for column, cell in _near(block, numbers)
    ]
    return ours + theirs


def _near(block: Block, numbers: Sequence[Published]) -> Iterator[tuple[TaskCell, Beside]]:
    """Yield what papers print of each column's task for the methods that have a cell in it, each
    number once.
    """
    for column in block.columns:
        methods = {row.method.partition(":")[0] for row, where in block.cells if where == column}
        for method in sorted(methods):
            place = {"method": method, "task": column.task, "metric": column.metric}
            for cell in beside(numbers, **place, k=block.terms.k, protocol=block.terms.protocol):
                yield column, cell
