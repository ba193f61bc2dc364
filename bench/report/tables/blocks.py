"""Tables from records: a row per entrant, a column per task as it was asked, in comparable blocks.

`fewbench.store.cell.Cell` places a record: a cell holds the runs of one entrant that answer
one question, by split seed. Nothing is averaged across columns of different definitions, rows or
metrics, or across blocks.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from fewbench.report.today import OF_METHOD
from fewbench.store.cell import UNKNOWN_METRIC, Cell, Entrant, TaskCell, Terms, Variant
from fewbench.store.record import Record
from fewbench.store.seed_runs import NO_COSTS, SeedRun, SeedRuns

T = TypeVar("T")

Changed = Callable[[Record], tuple[str, ...]]
"""Names the inputs of a record's run that differ from today's, as `Today.changed` does."""


def nothing_changed(record: Record) -> tuple[str, ...]:
    """Name no input as changed, where records are not checked against today's."""
    return ()


BySeed = dict[int, list[tuple[float, SeedRun, SeedRuns]]]
"""The finished runs of a cell by split seed, each with its score and its group."""

TEACHER = "teacher"
"""The role of a row with runs that taught those of other rows."""

CostsOf = Callable[[Record], Mapping[str, float]]
"""Gives a run's costs by name, those that are known."""


def no_costs(record: Record) -> Mapping[str, float]:
    """Give no costs, where they are not asked for."""
    return NO_COSTS


class TableRow(NamedTuple):
    """An entrant, and its variant where the entrant's variants answer the same question.

    `role` is `TEACHER` where the row was added as, or has, a teacher of the others.
    """

    entrant: Entrant
    variant: Variant = Variant()
    role: str = ""

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
        method, _, teacher, corpus = self.entrant
        return TableRow(Entrant(method, "", teacher, corpus), self.variant, self.role)


class MeanCost(NamedTuple):
    """The mean of a cost over those runs of a cell for which it is known, and their number."""

    mean: float
    n: int


class CellPlace(NamedTuple):
    """The place of a record: its block, row and column."""

    terms: Terms
    row: TableRow
    column: TaskCell


@dataclass(slots=True)
class Scores:
    """The runs of one cell: test scores by split seed, 0 to 1 (or a correlation), and their state.

    A seed with several finished runs (of different teacher runs, say, or of inputs that were not
    recorded) has no single score: it is left out of `scores`, and `doubled` has the keys of its
    runs. `failed` counts runs without a score, `stale` those made by other code than the method's
    of today. `codes` are the hashes of the code that made them. `changed` names their inputs that
    are not today's. `costs` are those of the runs in `scores`, and `machines` are where these
    were made. `simulates_int8` is that of the records.
    """

    scores: dict[int, float] = field(default_factory=dict)
    failed: int = 0
    stale: int = 0
    codes: frozenset[str] = frozenset()
    doubled: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    costs: Mapping[str, MeanCost] = field(default_factory=dict)
    machines: frozenset[str] = frozenset()
    simulates_int8: bool = False

    @property
    def n(self) -> int:
        """The number of seeds."""
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
        squares = math.fsum((score - mean) ** 2 for score in self.scores.values())
        return math.sqrt(squares / (self.n - ddof))


@dataclass(slots=True)
class Block:
    """Cells with the same terms, which may be compared."""

    terms: Terms
    ddof: int
    rows: list[TableRow]
    columns: list[TaskCell]
    cells: dict[tuple[TableRow, TaskCell], Scores]


def places(records: Sequence[Record], changed: Changed = nothing_changed) -> list[CellPlace]:
    """Place each record in a block, row and column, given all the others.

    A failed run that names no metric belongs to the only column that is equal in all else, if there
    is one. Variants of an entrant share a row unless two of them answer one question, or one is not
    of today.
    """
    answers = [(record.cell, not {*OF_METHOD}.isdisjoint(changed(record))) for record in records]
    distinct = dict.fromkeys(answers)
    columns = _columns(cell.question.task for cell, _ in distinct)
    ambiguous = _ambiguous(cell for cell, old in distinct if not old)
    seats = {}
    for cell, old in distinct:
        variant = cell.variant if old or cell.entrant in ambiguous else Variant()
        row = TableRow(cell.entrant, variant)
        seats[cell, old] = CellPlace(cell.question.terms, row, columns[cell.question.task])
    return [seats[answer] for answer in answers]


def _columns(tasks: Iterable[TaskCell]) -> dict[TaskCell, TaskCell]:
    """Return the column of each task.

    It is the task itself; for one without a metric, the only other that is equal in all else.
    """
    tasks = set(tasks)
    scored: dict[TaskCell, list[TaskCell]] = {}
    for task in tasks:
        if task.metric != UNKNOWN_METRIC:
            scored.setdefault(task.unscored, []).append(task)
    columns = {}
    for task in tasks:
        twins = scored.get(task, [])
        columns[task] = twins[0] if len(twins) == 1 else task
    return columns


def _ambiguous(cells: Iterable[Cell]) -> set[Entrant]:
    """Return the entrants of which two variants answer one question."""
    variants: dict[Cell, set[Variant]] = {}
    for cell in cells:
        variants.setdefault(cell._replace(variant=Variant()), set()).add(cell.variant)
    return {cell.entrant for cell, several in variants.items() if len(several) > 1}


def build(
    records: Iterable[Record],
    code: Mapping[str, str],
    ddofs: Mapping[str, int],
    changed: Changed = nothing_changed,
    *,
    teachers: Collection[str] = (),
    costs: CostsOf = no_costs,
) -> list[Block]:
    """Arrange records in blocks.

    Args:
        records: of any tasks, methods and protocols.
        code: the hash of each method's code today; records of other code are stale.
        ddofs: each protocol's ddof.
        changed: names a record's inputs that are not today's.
        teachers: keys of runs that taught others; their rows have the role of a teacher.
        costs: gives the costs of a run.
    """
    groups = [SeedRuns.alone(record, costs(record)) for record in records]
    return arrange(groups, code, ddofs, changed, teachers=teachers)


def arrange(
    groups: Sequence[SeedRuns],
    code: Mapping[str, str],
    ddofs: Mapping[str, int],
    changed: Changed = nothing_changed,
    *,
    teachers: Collection[str] = (),
) -> list[Block]:
    """Arrange groups of runs in blocks; `build` describes the other arguments."""
    cells: dict[CellPlace, list[SeedRuns]] = {}
    likes = [group.like for group in groups]
    for group, place in zip(groups, places(likes, changed), strict=True):
        cells.setdefault(place, []).append(group)
    cells = _with_roles(cells, teachers)
    blocks: dict[Terms, Block] = {}
    for place, members in cells.items():
        terms = place.terms
        block = blocks.setdefault(terms, Block(terms, ddofs.get(terms.protocol, 0), [], [], {}))
        block.cells[place.row, place.column] = _scores(members, code, changed)
    for block in blocks.values():
        means = ((row, cell.mean if cell.n else None) for (row, _), cell in block.cells.items())
        block.rows = worst_first(means)
        block.columns = sorted({column for _, column in block.cells})
    return [blocks[terms] for terms in sorted(blocks, key=attrgetter("order"))]


def _with_roles(
    cells: Mapping[CellPlace, list[SeedRuns]], teachers: Collection[str]
) -> dict[CellPlace, list[SeedRuns]]:
    """Mark the rows that have a run which taught others, in all blocks alike."""
    if not teachers:
        return {**cells}
    marked: dict[TableRow, TableRow] = {}
    for place, members in cells.items():
        if any(run.key in teachers for group in members for run in group.runs):
            marked[place.row] = place.row._replace(role=TEACHER)
    return {
        place._replace(row=marked.get(place.row, place.row)): members
        for place, members in cells.items()
    }


def _scores(members: Sequence[SeedRuns], code: Mapping[str, str], changed: Changed) -> Scores:
    """Summarise the runs of one cell."""
    by_seed = _by_seed(members)
    counted = [runs[0] for runs in by_seed.values() if len(runs) == 1]
    return Scores(
        {run.seed: score for score, run, _ in counted},
        sum(group.failed for group in members),
        sum(_count_stale(group, code) for group in members),
        frozenset(group.like.method_code for group in members),
        _doubled(by_seed),
        changed(members[0].like),
        _mean_costs(run.costs for _, run, _ in counted),
        frozenset(_machine(group.like) for *_, group in counted),
        any(group.like.simulates_int8 for *_, group in counted),
    )


def _by_seed(members: Iterable[SeedRuns]) -> BySeed:
    """Return the finished runs of a cell by split seed, each with its score and group."""
    by_seed: BySeed = {}
    for group in members:
        for run in group.runs:
            if run.score is not None:
                by_seed.setdefault(run.seed, []).append((run.score, run, group))
    return by_seed


def _doubled(by_seed: BySeed) -> dict[int, tuple[str, ...]]:
    """Return the keys of the runs of those seeds that have several."""
    doubled = {}
    for seed, runs in sorted(by_seed.items()):
        if len(runs) > 1:
            doubled[seed] = tuple(sorted(run.key for _, run, _ in runs))
    return doubled


def _count_stale(group: SeedRuns, code: Mapping[str, str]) -> int:
    """Count a group's runs that other code than their method's of today has made."""
    made, method = group.like.method_code, group.run.method
    return 0 if made == code.get(method, made) else len(group.runs)


def _mean_costs(costs: Iterable[Mapping[str, float]]) -> dict[str, MeanCost]:
    """Average each cost over the runs for which it is known."""
    values: dict[str, list[float]] = {}
    for of_run in costs:
        for name, value in of_run.items():
            values.setdefault(name, []).append(value)
    return {
        name: MeanCost(math.fsum(known) / len(known), len(known)) for name, known in values.items()
    }


def _machine(record: Record) -> str:
    """Name what a run's times and memory depend on besides the run."""
    environment = record.environment
    return f"{environment.device}, {environment.threads} threads"


def without_doubled(records: Sequence[Record]) -> list[Record]:
    """Drop the records that share cell and seed with another finished one."""
    seats = [
        (place, record.run.seed) for place, record in zip(places(records), records, strict=True)
    ]
    finished = Counter(
        seat for seat, record in zip(seats, records, strict=True) if record.score is not None
    )
    return [record for seat, record in zip(seats, records, strict=True) if finished[seat] < 2]


def worst_first(
    means: Iterable[tuple[T, float | None]], among_equals: Callable[[T], Any] = lambda row: row
) -> list[T]:
    """Sort rows by the mean over their cells, the best last.

    Args:
        means: a row and the mean of one of its cells, or None if that has none; rows without any
            come first.
        among_equals: the sort key of rows with the same mean.
    """
    by_row: dict[T, list[float]] = {}
    for row, mean in means:
        known = by_row.setdefault(row, [])
        if mean is not None:
            known.append(mean)

    def average(row: T) -> float:
        known = by_row[row]
        return math.fsum(known) / len(known) if known else -math.inf

    return sorted(by_row, key=lambda row: (average(row), among_equals(row)))
