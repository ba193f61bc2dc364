"""Cells of tables as objects of plain values, for JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fewbench.report.tables.blocks import Block, Scores, TableRow
from fewbench.report.tables.marks import doubled_as_text
from fewbench.store.cell import TaskCell
from fewbench.types import Json


def to_rows(blocks: Sequence[Block], costs: Iterable[str] = ()) -> list[Json]:
    """Return every cell as an object of plain values (JSON, CSV), scores and std in hundredths.

    Args:
        blocks: of cells.
        costs: names of costs to add, each with the number of runs for which it is known.
    """
    names = list(costs)
    return [
        _flat(block, row, column, cell) | _flat_costs(cell, names)
        for block in blocks
        for row in block.rows
        for column in block.columns
        if (cell := block.cells.get((row, column)))
    ]


def _flat(block: Block, row: TableRow, column: TaskCell, cell: Scores) -> Json:
    names = {
        "task": column.task,
        "source": column.source,
        "task_version": column.version,
        "template": _none_if_empty(column.template),
        "definition": _none_if_empty(column.definition),
        "train_set": _none_if_empty(column.train_set),
        "test_set": column.test_set,
        "metric": column.metric,
        "positive": _none_if_empty(column.positive),
        "method": row.method,
        "role": _none_if_empty(row.role),
        "settings": _none_if_empty(row.variant.settings),
        "student": _none_if_empty(row.student),
        "teacher": _none_if_empty(row.entrant.teacher),
        "corpus": _none_if_empty(row.entrant.corpus),
        **block.terms._asdict(),
        "constants": _none_if_empty(block.terms.constants),
    }
    return {
        **names,
        **_hundredths(cell, block.ddof),
        "ddof": block.ddof,
        "n": cell.n,
        "seeds": sorted(cell.scores),
        "failed": cell.failed,
        "stale": cell.stale,
        "codes": sorted(cell.codes),
        "doubled": doubled_as_text(cell.doubled.items()),
        "not_of_today": list(cell.changed),
    }


def _flat_costs(cell: Scores, names: Iterable[str]) -> Json:
    """Return the costs of a cell as plain values."""
    values: Json = {}
    for name in names:
        cost = cell.costs.get(name)
        values[name] = None if cost is None else round(cost.mean, 4)
        values[f"{name}_n"] = 0 if cost is None else cost.n
    return values


def _none_if_empty(text: str) -> str | None:
    return text or None


def _hundredths(cell: Scores, ddof: int) -> dict[str, float | None]:
    """Return the mean, std and median of a cell, rounded; None where it has too few scores."""
    if not cell.n:
        return {"mean": None, "std": None, "median": None}
    std = cell.std(ddof)
    return {
        "mean": round(100 * cell.mean, 4),
        "std": None if std is None else round(100 * std, 4),
        "median": round(100 * cell.median, 4),
    }
