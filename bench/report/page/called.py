"""What the page calls columns, rows and protocols: as tables do, over all blocks at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fewbench.report.tables.blocks import Block, TableRow
from fewbench.report.tables.names import Names, protocol_names, telling
from fewbench.store.cell import TaskCell, Terms


class Called:
    """What columns, rows and protocols of all blocks are called."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        columns: dict[TaskCell, set[str]] = {}
        rows: dict[TableRow, set[str]] = {}
        terms: dict[tuple[str, str], set[str]] = {}
        for block in blocks:
            for (row, column), cell in block.cells.items():
                columns.setdefault(column, set()).update(cell.changed)
                rows.setdefault(row, set()).update(cell.changed)
                terms.setdefault(block.terms[1:3], set()).update(cell.changed)
        self._shown = telling(rows)
        self._names = Names(columns, {self._shown[row]: parts for row, parts in rows.items()})
        self._protocols = protocol_names(terms)

    def column(self, column: TaskCell, title: str) -> dict[str, Any]:
        """Return a column as the page has it; `name` is its own, `mark` what tells it from its
        twins.
        """
        header = self._names.column(column)
        mark = header.name.removeprefix(column.name).strip()
        name = header.name if self._alone(header.name) else f"{header.name} {column.metric_name}"
        told = {"task": column.task, "source": column.source, "template": column.template}
        return {**told, "name": name, "mark": mark, "metric": column.metric_name, "title": title}

    def row(self, row: TableRow, method: str) -> dict[str, Any]:
        """Return a row as the page has it."""
        shown = self._shown[row]
        teacher = " ".join(filter(None, (shown.entrant.teacher, shown.entrant.corpus)))
        label = (
            self._names.row(shown).replace(f" < {teacher}", "")
            if teacher
            else self._names.row(shown)
        )
        return {"student": row.student, "teacher": teacher, "label": label, "method": method}

    def protocol(self, terms: Terms) -> str:
        """Return what a protocol is called."""
        return self._protocols[terms[1:3]]

    def _alone(self, name: str) -> bool:
        return sum(self._names.column(column).name == name for column in self._names.columns) == 1
