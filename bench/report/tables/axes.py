"""Teachers and templates as axes of a table: where they are laid out, names leave them out.

Elsewhere a teacher is part of a method's name, and a template of a task's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from fewbench.report.tables.entry import Entry
from fewbench.report.today import OF_TASK
from fewbench.store.cell import TaskCell

ByTemplate = tuple[TaskCell, tuple[str, ...]]
"""A task without its template, and what of it is not of today."""


def laid_out(cells: Iterable[Entry], axes: Collection[str]) -> list[Entry]:
    """Move teachers out of rows and templates out of columns, if they are among a table's axes."""
    cells = list(cells)
    if "teacher" in axes:
        cells = [_without_teacher(cell) for cell in cells]
    return _without_templates(cells) if "template" in axes else cells


def _without_teacher(cell: Entry) -> Entry:
    entrant = cell.row.entrant
    row = cell.row._replace(entrant=entrant._replace(teacher=""))
    return replace(cell, row=row, teacher=entrant.teacher)


def _without_templates(cells: Sequence[Entry]) -> list[Entry]:
    """Join the columns of a task's templates.

    A definition covers its template. So templates of which a table shows one definition each are
    joined under the first of these; where one has several, columns stay apart by definition.
    """
    definitions: dict[ByTemplate, dict[str, set[str]]] = {}
    for cell in cells:
        by_template = definitions.setdefault(_any_template(cell), {})
        by_template.setdefault(cell.column.template, set()).add(cell.column.definition)
    joined: dict[ByTemplate, str] = {}
    for task, by_template in definitions.items():
        if max(map(len, by_template.values())) == 1:
            joined[task] = min(by_template[min(by_template)])
    moved = []
    for cell in cells:
        definition = joined.get(_any_template(cell), cell.column.definition)
        column = cell.column._replace(template="", definition=definition)
        moved.append(replace(cell, column=column, template=cell.column.template))
    return moved


def _any_template(cell: Entry) -> ByTemplate:
    earlier = tuple(part for part in cell.changed if part in OF_TASK)
    known = str(int(cell.column.known))
    return cell.column._replace(template="", definition=known), earlier
