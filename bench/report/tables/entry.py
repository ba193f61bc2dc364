"""Cells as a flat list, from which tables with any rows and columns are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from fewbench.data.train_size import k_order
from fewbench.report.tables.blocks import Block, MeanCost, Scores, TableRow
from fewbench.store.cell import TaskCell, Terms

AXES = ("task", "method", "student", "k", "protocol", "teacher", "template")
"""The axes that a table may have in its rows and columns."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of a table, ours or a published one.

    `mean`, `std` and `median` are in hundredths, None where unknown. `doubled` and `changed` are
    those of `fewbench.report.tables.blocks.Scores`. A published cell names its `source` (a paper's
    table) and, in `mark`, how it differs from ours; it has a row of its own backbone and is never
    marked as best. `sign` stands behind the number: of a paired test, say.

    `teacher` and `template` are empty unless they are axes of the table
    (`fewbench.report.tables.axes`); the row and the column hold them elsewhere.
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
    teacher: str = ""
    template: str = ""
    costs: Mapping[str, MeanCost] = field(default_factory=dict)
    machines: frozenset[str] = frozenset()
    simulates_int8: bool = False
    sign: str = ""

    def axis(self, name: str) -> Any:
        """Return the cell's position on an axis, which `sortable` puts in order."""
        return _PLACES[name](self)


_PLACES: Mapping[str, Callable[[Entry], Any]] = {
    "task": attrgetter("column"),
    "method": lambda cell: (cell.row.as_method, cell.source, cell.mark),
    "student": attrgetter("row.entrant.student"),
    "k": attrgetter("terms.k"),
    "protocol": attrgetter("terms.protocol", "terms.constants"),
    "teacher": attrgetter("teacher"),
    "template": attrgetter("template"),
    "limit": attrgetter("terms.limit"),
    "drop_leaks": attrgetter("terms.drop_leaks"),
    "arithmetic": attrgetter("terms.arithmetic"),
}
"""Gives a cell's position by axis; those beyond `AXES` only ever split tables."""


def sortable(axes: Iterable[str], place: Iterable[Any]) -> list[Any]:
    """Return a sort key of values of some axes: None first, numbers per label before full data."""
    return [
        (value is not None, k_order(value) if axis == "k" else value)
        for axis, value in zip(axes, place, strict=True)
    ]


def entries(blocks: Iterable[Block]) -> list[Entry]:
    """Return the cells of blocks as a flat list."""
    return [
        _entry(block, row, column, scores)
        for block in blocks
        for (row, column), scores in block.cells.items()
    ]


def _entry(block: Block, row: TableRow, column: TaskCell, scores: Scores) -> Entry:
    std = scores.std(block.ddof) if scores.n > 1 else None
    return Entry(
        row,
        column,
        block.terms,
        block.ddof,
        mean=100 * scores.mean if scores.n else None,
        std=None if std is None else 100 * std,
        median=100 * scores.median if scores.n else None,
        n=scores.n,
        failed=scores.failed,
        stale=scores.stale,
        several_codes=len(scores.codes) > 1,
        doubled=tuple(scores.doubled.items()),
        changed=scores.changed,
        costs=scores.costs,
        machines=scores.machines,
        simulates_int8=scores.simulates_int8,
    )
