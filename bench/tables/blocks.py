"""Tables from records: one row a method, one column a task, blocks that can be compared.

Records of different K, protocol or limit stand in different blocks, and so do those without leaked test rows; records
of different test sets in different columns. Nothing is averaged across either.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from fewbench.cell import asked, label
from fewbench.metrics import shown_metric
from fewbench.record import Record

T = TypeVar("T")


class Column(NamedTuple):
    """A task from a source, on one test set; `metric` is its headline, `template` names a prompt not its own.

    `positive` is the class that the metric is of, if it is of one.

    `asked` tells questions apart that go by the same names: on other rows, by another definition
    (`fewbench.cell.asked`).
    """

    task: str
    source: str
    version: int
    metric: str
    template: str = ""
    positive: str = ""
    asked: str = ""

    @property
    def headline(self) -> str:
        """The metric as it is shown, with its class."""
        return shown_metric(self.metric, self.positive)


class Row(NamedTuple):
    """A method with the settings its user fixed, on a student.

    `teacher` names what it learnt from (a teacher, a corpus), where the records tell of several.
    """

    method: str
    student: str
    teacher: str = ""


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

    @property
    def median(self) -> float:
        """The median over seeds."""
        return statistics.median(self.scores.values())

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


def build(records: Iterable[Record], code: Mapping[str, str], ddofs: Mapping[str, int]) -> list[Block]:
    """Return the blocks of some records.

    Args:
        records: of any tasks, methods and protocols.
        code: the hash of each method's code today; records of another are stale.
        ddofs: each protocol's ddof.
    """
    blocks: dict[tuple[Any, ...], Block] = {}
    records = list(records)
    rows = _rows(records)
    metrics = {(r.run.task, r.run.source): str(r.selection["metric"]) for r in records if "metric" in r.selection}
    positives = positives_of(records)
    for record, row in zip(records, rows, strict=True):
        run = record.run
        place = (run.k, run.protocol, run.limit, run.drop_leaks)
        if place not in blocks:
            ddof = ddofs.get(run.protocol, 0)
            blocks[place] = Block(run.k, run.protocol, run.limit, ddof, [], [], {}, run.drop_leaks)
        block = blocks[place]
        metric = str(record.selection.get("metric", metrics.get((run.task, run.source), "?")))
        positive = record.selection.get("positive", positives.get((run.task, run.source), ""))
        column = Column(run.task, run.source, run.task_version, metric, run.template, positive, asked(record))
        cell = block.cells.setdefault((row, column), Cell())
        if record.status == "failed":
            cell.failed += 1
        else:
            cell.scores[run.seed] = float(record.scores["test"][metric])
        cell.stale += code.get(run.method, record.method_code) != record.method_code
    for block in blocks.values():
        block.rows = worst_first(((row, cell.mean if cell.n else None) for (row, _), cell in block.cells.items()))
        block.columns = sorted({column for _, column in block.cells})
    return [blocks[place] for place in sorted(blocks, key=lambda place: (place[1], place[0], place[2] or 0, place[3]))]


def positives_of(records: Iterable[Record]) -> dict[tuple[str, str], str]:
    """Return the class that the headline metric is of, by task and source, where a record says so.

    It stands for records that do not: failed ones, and those of before it was named.
    """
    named = (record for record in records if "positive" in record.selection)
    return {(r.run.task, r.run.source): str(r.selection["positive"]) for r in named}


def _rows(records: Sequence[Record]) -> list[Row]:
    """Return the row of each record."""
    plain = [Row(label(r.run.method, r.run.settings), r.run.student.name if r.run.student else "") for r in records]
    teachers = [" ".join(ref.name for ref in (r.run.teacher, r.run.corpus) if ref) for r in records]
    many: dict[Row, set[str]] = {}
    for row, teacher in zip(plain, teachers, strict=True):
        many.setdefault(row, set()).add(teacher)
    return [row._replace(teacher=t) if len(many[row]) > 1 else row for row, t in zip(plain, teachers, strict=True)]


def worst_first(means: Iterable[tuple[T, float | None]]) -> list[T]:
    """Return rows by the mean over what each has, so that a table reads upwards to its best method last.

    Args:
        means: a row and the mean of one of its cells, or None where it has none; rows without any come first.
    """
    of: dict[T, list[float]] = {}
    for row, mean in means:
        of.setdefault(row, []).extend(() if mean is None else (mean,))
    return sorted(of, key=lambda row: (math.fsum(of[row]) / len(of[row]) if of[row] else -math.inf, row))


def to_rows(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Return every cell as plain values, one object each (JSON, CSV). Scores and std are in hundredths."""
    return [
        {
            "task": column.task,
            "source": column.source,
            "task_version": column.version,
            "asked": column.asked,
            "template": column.template or None,
            "metric": column.metric,
            "positive": column.positive or None,
            "method": row.method,
            "student": row.student or None,
            "teacher": row.teacher or None,
            "k": block.k,
            "protocol": block.protocol,
            "limit": block.limit,
            "drop_leaks": block.drop_leaks,
            "mean": round(100 * cell.mean, 4) if cell.n else None,
            "std": None if not cell.n or (std := cell.std(block.ddof)) is None else round(100 * std, 4),
            "median": round(100 * cell.median, 4) if cell.n else None,
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
