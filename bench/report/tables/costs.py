"""Costs beside scores: what records hold of a run, and what `bench cost` measured of its model."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from fewbench.report.tables.entry import Entry
from fewbench.report.tables.marks import notes_on_int8
from fewbench.store.cell import TaskCell
from fewbench.store.measurement import Shelf
from fewbench.store.record import Record
from fewbench.store.store import Store


class CostColumn(NamedTuple):
    """A column of costs: its header, its unit in the cost's own, and its decimals."""

    title: str
    scale: float = 1
    digits: int = 1


COSTS: Mapping[str, CostColumn] = {
    "training_seconds": CostColumn("training\ns"),
    "training_memory_mib": CostColumn("training\npeak MiB", digits=0),
    "parameters": CostColumn("M\nparameters", 1e-6, 2),
    "bytes": CostColumn("model\nMiB", 2.0**-20, 2),
}
"""Costs by their name in JSON and CSV, in the order of columns."""

OF_RUNS = (
    "costs are means over the runs of these tasks; training: all trials with their dev scores, and "
    "the peak of the run's process"
)
UNMEASURED = "– parameters and size: bench cost measures kept models"
MACHINES = "the times and memory are of several machines or settings, and hardly comparable: "


class RunCosts:
    """Looks up the costs of runs.

    Args:
        store: of the records, with measurements beside them.
    """

    def __init__(self, store: Store) -> None:
        self._shelf = Shelf(store)

    def __call__(self, record: Record) -> dict[str, float]:
        """Return a run's costs by name, those that are known."""
        costs: dict[str, float | None] = {
            "training_seconds": record.training_seconds,
            "training_memory_mib": record.timing.peak_memory_mib,
        }
        for measurement in self._shelf.of(record, "cost"):
            costs["parameters"] = measurement.scores["parameters"]["total"]
            costs["bytes"] = measurement.scores["bytes"]
        return {name: float(value) for name, value in costs.items() if value is not None}


def cost_texts(cells: Sequence[Entry | None]) -> list[str]:
    """Return the costs of a row as texts: means over its tasks, each counted once.

    A cost that is not known of every task is a dash. One that is known of some runs only is
    followed by their number.

    Args:
        cells: those of the row, None where there is none; several of a task have other metrics.
    """
    by_task: dict[TaskCell, Entry] = {}
    for cell in cells:
        if cell is None:
            return ["–"] * len(COSTS)
        by_task.setdefault(cell.column.unscored, cell)
    return [_text(name, column, list(by_task.values())) for name, column in COSTS.items()]


def _text(name: str, column: CostColumn, cells: Sequence[Entry]) -> str:
    known = [cell.costs[name] for cell in cells if name in cell.costs]
    if len(known) < len(cells) or not known:
        return "–"
    mean = column.scale * math.fsum(cost.mean for cost in known) / len(known)
    some = sum(cost.n for cost in known)
    runs = sum(cell.n or 0 for cell in cells)
    return f"{mean:.{column.digits}f}" + (f" ({some})" if some < runs else "")


def cost_notes(cells: Collection[Entry], texts: Iterable[Sequence[str]]) -> list[str]:
    """Return the notes below a table with costs.

    Args:
        cells: those of the table.
        texts: the costs of its rows.
    """
    notes = [OF_RUNS]
    if any("–" in row[2:] for row in texts):
        notes.append(UNMEASURED)
    notes += notes_on_int8(cells)
    machines: set[str] = set().union(*(cell.machines for cell in cells))
    if len(machines) > 1:
        notes.append(MACHINES + "; ".join(sorted(machines)))
    return notes
