"""Cells one by one: what tables by choice of rows and columns are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fewbench.report.tables.blocks import Block, TableRow
from fewbench.store.cell import TaskCell, Terms

AXES = ("task", "method", "student", "k", "protocol")


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of a table, ours or a published one; `mean`, `std` and `median` are in hundredths,
    None where unknown.

    `doubled` and `changed` are those of `fewbench.report.tables.blocks.Scores`. A published one
    names its `source` (a paper's table) and, in `mark`, what is not as in ours; it stands in a row
    of its own backbone and is never best.
    """

    row: TableRow
    column: TaskCell
    terms: Terms
    ddof: int = 0
    mean: float | None = None
    std: float | None = None
    median: float | None = None
    n: int | None = 0
    failed: int = 0
    stale: int = 0
    several_codes: bool = False
    doubled: tuple[tuple[int, tuple[str, ...]], ...] = ()
    changed: tuple[str, ...] = ()
    source: str = ""
    mark: str = ""

    def axis(self, name: str) -> Any:
        """Return where the cell lies on an axis, as something that can be sorted and compared."""
        if name == "task":
            return self.column
        if name == "method":
            return (self.row.as_method, self.source, self.mark)
        if name == "protocol":
            return (self.terms.protocol, self.terms.constants)
        return self.row.student if name == "student" else getattr(self.terms, name)


def entries(blocks: Iterable[Block]) -> list[Entry]:
    """Return the cells of blocks one by one."""
    found = []
    for block in blocks:
        for (row, column), cell in block.cells.items():
            numbers: tuple[float | None, float | None, float | None] = (None, None, None)
            if cell.n:
                std = cell.std(block.ddof) if cell.n > 1 else None
                numbers = (100 * cell.mean, None if std is None else 100 * std, 100 * cell.median)
            told = (len(cell.codes) > 1, tuple(cell.doubled.items()), cell.changed)
            counts = (cell.n, cell.failed, cell.stale)
            found.append(Entry(row, column, block.terms, block.ddof, *numbers, *counts, *told))
    return found
