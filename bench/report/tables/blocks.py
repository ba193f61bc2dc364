"""Tables from records: one row an entrant, one column a task as it was asked, blocks that can be
compared.

What stands where is `fewbench.store.cell.Cell`: a cell holds the runs of one entrant that answer
one question, by split seed. Nothing is averaged across columns of different definitions, rows or
metrics, or across blocks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from fewbench.report.today import OF_METHOD
from fewbench.store.cell import (
    UNKNOWN_METRIC,
    Cell,
    Entrant,
    TaskCell,
    Terms,
    Variant,
)
from fewbench.store.record import Record

T = TypeVar("T")

Changed = Callable[[Record], tuple[str, ...]]
"""Which parts of what a record's run was made from are not today's
(`fewbench.report.today.Today.changed`).
"""


def nothing_changed(record: Record) -> tuple[str, ...]:
    """Say that a record is of today: for records of which that is not asked."""
    return ()


class TableRow(NamedTuple):
    """An entrant; `variant` tells rows of one entrant apart that would hold two answers to one
    question.
    """

    entrant: Entrant
    variant: Variant = Variant()

    @property
    def method(self) -> str:
        """The method as its user typed it."""
        return self.entrant.method

    @property
    def student(self) -> str:
        """The model that is trained, or that was made smaller."""
        return self.entrant.student

    @property
    def as_method(self) -> TableRow:
        """The row whoever its student is: what stands on the axis of methods."""
        return self._replace(entrant=self.entrant._replace(student=""))


class CellPlace(NamedTuple):
    """Where a record stands: the block, the row and the column."""

    terms: Terms
    row: TableRow
    column: TaskCell


@dataclass(slots=True)
class Scores:
    """The runs of one cell: test scores by split seed, 0 to 1 (or a correlation), and what is to be
    known of them.

    A seed of which there are several finished runs (of other teachers' runs, say, or of what was
    not recorded) has no one score: it is left out of `scores`, and `doubled` has the keys of its
    runs. `failed` counts runs without a score, `stale` those of other code than the method's of
    today. `codes` are the hashes of the code that made them. `changed` names what they were made
    from that is not today's.
    """

    scores: dict[int, float] = field(default_factory=dict)
    failed: int = 0
    stale: int = 0
    codes: frozenset[str] = frozenset()
    doubled: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    changed: tuple[str, ...] = ()

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
        return math.sqrt(
            math.fsum((score - mean) ** 2 for score in self.scores.values()) / (self.n - ddof)
        )


@dataclass(slots=True)
class Block:
    """Cells that may be compared, for they have the same terms."""

    terms: Terms
    ddof: int
    rows: list[TableRow]
    columns: list[TaskCell]
    cells: dict[tuple[TableRow, TaskCell], Scores]


def places(records: Sequence[Record], changed: Changed = nothing_changed) -> list[CellPlace]:
    """Return where each of some records stands among the others.

    A failed run that names no metric stands in the one column that is equal in all else, if there
    is one. Variants of an entrant share a row unless two of them answer one question, or one is not
    of today.
    """
    cells = [record.cell for record in records]
    columns = _columns(cell.question.task for cell in cells)
    earlier = [any(part in OF_METHOD for part in changed(record)) for record in records]
    apart = _apart(cell for cell, old in zip(cells, earlier, strict=True) if not old)
    found = []
    for cell, old in zip(cells, earlier, strict=True):
        variant = cell.variant if old or cell.entrant in apart else Variant()
        row = TableRow(cell.entrant, variant)
        found.append(CellPlace(cell.question.terms, row, columns[cell.question.task]))
    return found


def _columns(tasks: Iterable[TaskCell]) -> dict[TaskCell, TaskCell]:
    """Return the column of each task: itself, or where it names no metric the only one that is
    equal in all else.
    """
    tasks = set(tasks)
    scored: dict[TaskCell, list[TaskCell]] = {}
    for task in tasks:
        if task.metric != UNKNOWN_METRIC:
            scored.setdefault(task._replace(metric=UNKNOWN_METRIC, positive=""), []).append(task)
    alike = {task: scored.get(task, []) for task in tasks}
    return {task: others[0] if len(others) == 1 else task for task, others in alike.items()}


def _apart(cells: Iterable[Cell]) -> set[Entrant]:
    """Return the entrants of which two variants answer one question."""
    variants: dict[Cell, set[Variant]] = {}
    for cell in cells:
        variants.setdefault(cell._replace(variant=Variant()), set()).add(cell.variant)
    return {cell.entrant for cell, found in variants.items() if len(found) > 1}


def build(
    records: Iterable[Record],
    code: Mapping[str, str],
    ddofs: Mapping[str, int],
    changed: Changed = nothing_changed,
) -> list[Block]:
    """Return the blocks of some records.

    Args:
        records: of any tasks, methods and protocols.
        code: the hash of each method's code today; records of another are stale.
        ddofs: each protocol's ddof.
        changed: what of a record is not today's.
    """
    records = list(records)
    groups: dict[CellPlace, list[Record]] = {}
    for record, place in zip(records, places(records, changed), strict=True):
        groups.setdefault(place, []).append(record)
    blocks: dict[Terms, Block] = {}
    for place, group in groups.items():
        terms = place.terms
        block = blocks.setdefault(terms, Block(terms, ddofs.get(terms.protocol, 0), [], [], {}))
        block.cells[place.row, place.column] = _scores(group, code, changed)
    for block in blocks.values():
        block.rows = worst_first(
            ((row, cell.mean if cell.n else None) for (row, _), cell in block.cells.items())
        )
        block.columns = sorted({column for _, column in block.cells})
    return [blocks[terms] for terms in sorted(blocks, key=in_order)]


def in_order(terms: Terms) -> tuple[Any, ...]:
    """Return what blocks are sorted by: the protocol, K, whole test sets first."""
    return terms.protocol, terms.constants, terms.k, terms.limit or 0, terms.drop_leaks


def _scores(group: Sequence[Record], code: Mapping[str, str], changed: Changed) -> Scores:
    """Return what is to be shown of the runs of one cell."""
    by_seed: dict[int, list[Record]] = {}
    for record in group:
        if record.score is not None:
            by_seed.setdefault(record.run.seed, []).append(record)
    single = {seed: runs[0].score for seed, runs in by_seed.items() if len(runs) == 1}
    doubled = {
        seed: tuple(sorted(record.run.key for record in runs))
        for seed, runs in sorted(by_seed.items())
        if len(runs) > 1
    }
    return Scores(
        scores={seed: float(score) for seed, score in single.items() if score is not None},
        failed=sum(record.score is None for record in group),
        stale=sum(code.get(r.run.method, r.method_code) != r.method_code for r in group),
        codes=frozenset(record.method_code for record in group),
        doubled=doubled,
        changed=changed(group[0]),
    )


def without_doubled(records: Sequence[Record]) -> list[Record]:
    """Return the records but those that share cell and seed with another finished one: none is the
    run of that seed.
    """
    counts: dict[tuple[CellPlace, int], int] = {}
    seats = [
        (place, record.run.seed) for place, record in zip(places(records), records, strict=True)
    ]
    for seat, record in zip(seats, records, strict=True):
        counts[seat] = counts.get(seat, 0) + (record.score is not None)
    return [record for seat, record in zip(seats, records, strict=True) if counts[seat] < 2]


def worst_first(means: Iterable[tuple[T, float | None]]) -> list[T]:
    """Return rows by the mean over what each has, so that a table reads upwards to its best method
    last.

    Args:
        means: a row and the mean of one of its cells, or None where it has none; rows without any
            come first.
    """
    of: dict[T, list[float]] = {}
    for row, mean in means:
        of.setdefault(row, []).extend(() if mean is None else (mean,))
    return sorted(
        of, key=lambda row: (math.fsum(of[row]) / len(of[row]) if of[row] else -math.inf, row)
    )


def to_rows(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Return every cell as plain values, one object each (JSON, CSV). Scores and std are in
    hundredths.
    """
    return [
        _flat(block, row, column, cell)
        for block in blocks
        for row in block.rows
        for column in block.columns
        if (cell := block.cells.get((row, column)))
    ]


def _flat(block: Block, row: TableRow, column: TaskCell, cell: Scores) -> dict[str, Any]:
    std = cell.std(block.ddof) if cell.n else None
    return {
        "task": column.task,
        "source": column.source,
        "task_version": column.version,
        "template": column.template or None,
        "definition": column.definition or None,
        "train_set": column.train_set or None,
        "test_set": column.test_set,
        "metric": column.metric,
        "positive": column.positive or None,
        "method": row.method,
        "settings": row.variant.settings or None,
        "student": row.student or None,
        "teacher": row.entrant.teacher or None,
        "corpus": row.entrant.corpus or None,
        **block.terms._asdict(),
        "constants": block.terms.constants or None,
        "mean": round(100 * cell.mean, 4) if cell.n else None,
        "std": None if std is None else round(100 * std, 4),
        "median": round(100 * cell.median, 4) if cell.n else None,
        "ddof": block.ddof,
        "n": cell.n,
        "seeds": sorted(cell.scores),
        "failed": cell.failed,
        "stale": cell.stale,
        "codes": sorted(cell.codes),
        "doubled": [f"{seed}:{'+'.join(keys)}" for seed, keys in cell.doubled.items()],
        "not_of_today": list(cell.changed),
    }
