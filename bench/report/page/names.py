"""The page's names of columns, rows and protocols: those of tables, over all blocks at once."""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.report.page.data import ColumnData, RowData
from fewbench.report.tables.blocks import Block, TableRow
from fewbench.report.tables.names import Names, protocol_names, telling
from fewbench.store.cell import TaskCell, Terms


class PageNames:
    """The names of the columns, rows and protocols of all blocks."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        columns: dict[TaskCell, set[str]] = {}
        rows: dict[TableRow, set[str]] = {}
        protocols: dict[tuple[str, str], set[str]] = {}
        for block in blocks:
            for (row, column), cell in block.cells.items():
                columns.setdefault(column, set()).update(cell.changed)
                rows.setdefault(row, set()).update(cell.changed)
                protocols.setdefault(block.terms[1:3], set()).update(cell.changed)
        self._short_rows = telling(rows)
        changed = {self._short_rows[row]: parts for row, parts in rows.items()}
        self._names = Names(columns, changed)
        self._protocols = protocol_names(protocols)

    def column(self, column: TaskCell, title: str) -> ColumnData:
        """Return a column's data; twins get a mark, and the metric where nothing else differs."""
        header = self._names.column(column)
        is_unique = self._count(header.name) == 1
        return {
            "task": column.task,
            "source": column.source,
            "template": column.template,
            "name": header.name if is_unique else f"{header.name} {column.metric_name}",
            "mark": header.name.removeprefix(column.name).strip(),
            "metric": column.metric_name,
            "title": title,
        }

    def row(self, row: TableRow, method: str) -> RowData:
        """Return a row's data."""
        short = self._short_rows[row]
        told = " ".join(filter(None, (short.entrant.teacher, short.entrant.corpus)))
        label = self._names.row(short)
        if told:
            label = label.replace(f" < {told}", "")
        teacher = " ".join(filter(None, (row.entrant.teacher, row.entrant.corpus)))
        return {"student": row.student, "teacher": teacher, "label": label, "method": method}

    def protocol(self, terms: Terms) -> str:
        """Return a protocol's name."""
        return self._protocols[terms[1:3]]

    def _count(self, name: str) -> int:
        return sum(self._names.column(column).name == name for column in self._names.columns)
