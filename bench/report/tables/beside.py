"""Numbers that papers print for methods we ran, as table cells in rows of their own backbones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fewbench.report.published import Beside, Published, beside, printed_k
from fewbench.report.tables.blocks import Block, TableRow
from fewbench.report.tables.entry import Entry
from fewbench.report.tables.flat import to_rows
from fewbench.store.cell import Entrant, TaskCell, Terms
from fewbench.types import Json

ALIKE = "same data, K and protocol"


def published_entries(blocks: Iterable[Block], numbers: Sequence[Published]) -> list[Entry]:
    """Return the published numbers of all methods and tasks in some blocks, in separate rows."""
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


def published_rows(
    blocks: Sequence[Block], numbers: Sequence[Published], costs: Iterable[str] = ()
) -> list[Json]:
    """Return every cell as an object of plain values, ours first and then the papers'.

    `published` and `mark` are None in ours.
    """
    ours = [{**row, "published": None, "mark": None} for row in to_rows(blocks, costs)]
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
    """Yield each published number once, for each column and the methods with a cell in it."""
    terms = block.terms
    methods: dict[TaskCell, set[str]] = {}
    for row, column in block.cells:
        methods.setdefault(column, set()).add(row.method.partition(":")[0])
    for column in block.columns:
        others = {n.method.partition(":")[0] for n in numbers if _is_of(n, column, terms)}
        for method in sorted(methods.get(column, set()) | others):
            cells = beside(
                numbers,
                method=method,
                task=column.task,
                source=column.source,
                template=column.template,
                metric=column.metric,
                k=terms.k,
                protocol=terms.protocol,
            )
            for cell in cells:
                yield column, cell


def _is_of(number: Published, column: TaskCell, terms: Terms) -> bool:
    """True for an imported number on a column's task at its K: it needs no method of ours."""
    at_k = number.k in ("", printed_k(terms.k))
    return number.is_imported and number.task == column.task and at_k
