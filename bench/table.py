"""Tables from records: one row a method, one column a task, blocks that can be compared.

Records of different K, protocol or limit stand in different blocks, and so do those without leaked test rows; records
of different test sets in different columns. Nothing is averaged across either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fewbench.record import Record


class Column(NamedTuple):
    """A task from a source, on one test set; `metric` is its headline, `template` names a prompt not its own.

    Where each split leaves out its own leaked test rows, the test set is the one they are taken from.
    """

    task: str
    source: str
    version: int
    test_fingerprint: str
    metric: str
    template: str = ""


class Row(NamedTuple):
    """A method with the settings its user fixed, on a student."""

    method: str
    student: str


@dataclass(slots=True)
class Cell:
    """The runs of one row in one column: test scores by split seed, 0 to 1 (or a correlation), and what went wrong."""

    scores: dict[int, float] = field(default_factory=dict)
    failed: int = 0
    stale: int = 0

    @property
    def n(self) -> int:
        """How many seeds."""
        return len(self.scores)

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return math.fsum(self.scores.values()) / self.n

    def std(self, ddof: int) -> float | None:
        """The standard deviation over seeds, or None where there are too few."""
        if self.n <= ddof:
            return None
        mean = self.mean
        return math.sqrt(math.fsum((score - mean) ** 2 for score in self.scores.values()) / (self.n - ddof))


@dataclass(slots=True)
class Block:
    """Cells that may be compared: one K, protocol and limit, with or without leaked test rows."""

    k: int
    protocol: str
    limit: int | None
    ddof: int
    rows: list[Row]
    columns: list[Column]
    cells: dict[tuple[Row, Column], Cell]
    drop_leaks: bool = False

    def best(self, column: Column) -> list[Row]:
        """Return rows in the order of their means in a column, ties at the first place together in front."""
        ranked = [row for row in self.rows if (cell := self.cells.get((row, column))) and cell.n]
        return sorted(ranked, key=lambda row: -self.cells[row, column].mean)

    def average(self, row: Row) -> float | None:
        """Return the mean over all columns, or None where a cell is missing."""
        cells = [self.cells.get((row, column)) for column in self.columns]
        whole = [cell.mean for cell in cells if cell is not None and cell.n and not cell.failed]
        return math.fsum(whole) / len(whole) if len(whole) == len(self.columns) > 1 else None


def build(records: Iterable[Record], code: Mapping[str, str], ddofs: Mapping[str, int]) -> list[Block]:
    """Return the blocks of some records.

    Args:
        records: of any tasks, methods and protocols.
        code: the hash of each method's code today; records of another are stale.
        ddofs: each protocol's ddof.
    """
    blocks: dict[tuple[Any, ...], Block] = {}
    records = list(records)
    metrics = {(r.run.task, r.run.source): str(r.selection["metric"]) for r in records if "metric" in r.selection}
    for record in records:
        run = record.run
        place = (run.k, run.protocol, run.limit, run.drop_leaks)
        if place not in blocks:
            ddof = ddofs.get(run.protocol, 0)
            blocks[place] = Block(run.k, run.protocol, run.limit, ddof, [], [], {}, run.drop_leaks)
        block = blocks[place]
        metric = metrics.get((run.task, run.source), "?")
        test = str(record.split.get("whole_test_fingerprint", run.test_fingerprint))
        column = Column(run.task, run.source, run.task_version, test, metric, run.template)
        row = Row(label(run.method, run.settings), run.student.name if run.student else "")
        cell = block.cells.setdefault((row, column), Cell())
        if record.status == "failed":
            cell.failed += 1
        else:
            cell.scores[run.seed] = float(record.scores["test"][metric])
        cell.stale += code.get(run.method, record.method_code) != record.method_code
    for block in blocks.values():
        block.rows = sorted({row for row, _ in block.cells}, key=lambda row: _rank(block, row))
        block.columns = sorted({column for _, column in block.cells})
    return [blocks[place] for place in sorted(blocks, key=lambda place: (place[1], place[0], place[2] or 0, place[3]))]


def label(method: str, settings: Mapping[str, Any]) -> str:
    """Return a method as its user typed it: `ft:lr=1e-05`."""
    given = ",".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return f"{method}:{given}" if given else method


def _rank(block: Block, row: Row) -> tuple[float, str, str]:
    """Worst first, by the mean over what the row has, so that a table reads upwards to its best method last."""
    means = [cell.mean for (r, _), cell in block.cells.items() if r == row and cell.n]
    return (math.fsum(means) / len(means) if means else -math.inf, row.method, row.student)


def to_rows(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Return every cell as plain values, one object each (JSON, CSV). Scores and std are in hundredths."""
    return [
        {
            "task": column.task,
            "source": column.source,
            "task_version": column.version,
            "test_fingerprint": column.test_fingerprint,
            "template": column.template or None,
            "metric": column.metric,
            "method": row.method,
            "student": row.student or None,
            "k": block.k,
            "protocol": block.protocol,
            "limit": block.limit,
            "drop_leaks": block.drop_leaks,
            "mean": round(100 * cell.mean, 4) if cell.n else None,
            "std": None if not cell.n or (std := cell.std(block.ddof)) is None else round(100 * std, 4),
            "ddof": block.ddof,
            "n": cell.n,
            "seeds": sorted(cell.scores),
            "failed": cell.failed,
            "stale": cell.stale,
        }
        for block in blocks
        for row in block.rows
        for column in block.columns
        if (cell := block.cells.get((row, column)))
    ]
