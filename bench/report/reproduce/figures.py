"""Look up our numbers for the cells of a table: scores by seed, their mean and its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from statistics import fmean
from typing import NamedTuple

import numpy as np

from fewbench.report.reproduce.cells import CellRuns, PlannedCell, PlannedRow, TablePlan
from fewbench.report.statistics.crossed import Paired, estimate
from fewbench.report.tables.measures import MeasuredScores, figures, loyalties, loyalty_to
from fewbench.runner.jobs import Job
from fewbench.store.measurement import Shelf
from fewbench.store.record import Record
from fewbench.store.store import Store

FIGURES = {
    "label_loyalty": "label loyalty",
    "probability_loyalty": "probability loyalty",
    "after_attack_accuracy": "after-attack accuracy",
    "attack_queries": "queries",
    "parameters_m": "M parameters",
    "speedup": "speed-up",
}
"""The columns of `bench table --with` that hold what a table prints."""

BySeed = Mapping[int, float]
"""A number of ours by split seed, in the unit of the printed one."""


class Ours(NamedTuple):
    """Our number: the mean over `n` split seeds, their deviation, and the mean's 95 % interval.

    The interval is by Student's t over seeds (`fewbench.report.statistics.crossed`). It is None for
    one seed and for numbers that do not vary over seeds, as is `std` for one seed.
    """

    mean: float
    n: int
    std: float | None = None
    low: float | None = None
    high: float | None = None


class ComparedCell(NamedTuple):
    """A printed number, and ours or the reason why there is none."""

    cell: PlannedCell
    ours: Ours | None
    missing: str = ""

    @property
    def difference(self) -> float | None:
        """Ours less theirs."""
        return None if self.ours is None else self.ours.mean - self.cell.number.value


class ComparedRow(NamedTuple):
    """A printed row with ours beside it."""

    row: PlannedRow
    cells: tuple[ComparedCell, ...]


def compared(
    table: TablePlan, jobs: Mapping[CellRuns, Sequence[Job]], store: Store, ddof: int
) -> list[ComparedRow]:
    """Set our stored numbers beside those of a table.

    Args:
        table: its cells, planned.
        jobs: of its runs.
        store: of their records and measurements.
        ddof: of the standard deviation, the protocol's.
    """
    stored = _Stored(jobs, store)
    rows = []
    for row in table.rows:
        cells = [_compared(cell, row, stored, ddof) for cell in row.cells]
        rows.append(ComparedRow(row, tuple(cells)))
    return rows


def summary(values: BySeed, ddof: int) -> Ours:
    """Return the mean of numbers by seed, with its interval."""
    scores = np.array([values[seed] for seed in sorted(values)])
    n, mean = len(scores), math.fsum(scores) / len(scores)
    if n <= max(ddof, 1):
        return Ours(mean, n)
    std = float(scores.std(ddof=ddof))
    if np.ptp(scores) < 1e-9:
        return Ours(mean, n, std)
    found = estimate([[Paired(tuple(sorted(values)), scores)]])
    return Ours(mean, n, std, found.low, found.high)


def _compared(cell: PlannedCell, row: PlannedRow, stored: _Stored, ddof: int) -> ComparedCell:
    if cell.how == "none":
        return ComparedCell(cell, None, cell.reason)
    values = stored.average(row) if cell.how == "average" else stored.values(cell)
    if values:
        return ComparedCell(cell, summary(values, ddof))
    return ComparedCell(cell, None, stored.missing(cell))


class _Stored:
    """The numbers that are stored for a table's runs."""

    def __init__(self, jobs: Mapping[CellRuns, Sequence[Job]], store: Store) -> None:
        self._store = store
        self._records = {runs: _records(some, store) for runs, some in jobs.items()}
        teachers = _teachers(chain.from_iterable(jobs.values()), store)
        self._teachers = {record.run.key: record for record in teachers}
        self._shelf: Shelf | None = None

    def values(self, cell: PlannedCell) -> BySeed:
        """Return the numbers of a cell's runs, of those that have it."""
        if cell.runs is None:
            return {}
        finished = [r for r in self._records.get(cell.runs, ()) if r.status == "ok"]
        look_up = self._score if cell.how == "score" else self._measured
        found = {record.run.seed: look_up(cell, record) for record in finished}
        return {seed: value for seed, value in found.items() if value is not None}

    def average(self, row: PlannedRow) -> BySeed:
        """Return the mean over a row's numbers, for each seed that all of them have."""
        parts = [self.values(part) for part in row.parts()]
        seeds = set(parts[0]).intersection(*parts[1:])
        return {seed: fmean(map(itemgetter(seed), parts)) for seed in sorted(seeds)}

    def missing(self, cell: PlannedCell) -> str:
        """Say why a cell that could be had has no number."""
        if cell.how == "average":
            return "a mean of numbers of which some are not stored"
        records = self._records.get(cell.runs, ()) if cell.runs is not None else ()
        failed = [record.run.key[:8] for record in records if record.status == "failed"]
        if failed:
            return f"failed runs (bench show {failed[0]} says why)"
        if not records:
            return "not run yet"
        return _unmeasured(cell, records)

    def _score(self, cell: PlannedCell, record: Record) -> float | None:
        score = record.scores.get("test", {}).get(cell.number.metric)
        return None if score is None else 100 * score

    def _measured(self, cell: PlannedCell, record: Record) -> float | None:
        """Return the figure that a measurement of a run has for a cell, the first by its name."""
        if _is_simulated(cell, record):
            return None
        wanted = FIGURES[cell.number.metric]
        for scores in self._measurements(cell, record):
            for name, _, value in figures(cell.how, "", scores):
                if name == wanted:
                    return value
        return None

    def _measurements(self, cell: PlannedCell, record: Record) -> Iterator[MeasuredScores]:
        """Yield the scores of a run's measurements of a kind; of attacks, those of TextFooler."""
        if cell.how == "loyalty":
            loyalty = self._loyalty(cell, record)
            yield from [] if loyalty is None else [loyalty]
            return
        if self._shelf is None:
            self._shelf = Shelf(self._store)
        for found in sorted(self._shelf.of(record, cell.how), key=lambda one: one.name):
            if cell.how != "attack" or (
                found.name.startswith("textfooler") and "drawn" in found.settings
            ):
                yield found.scores

    def _loyalty(self, cell: PlannedCell, record: Record) -> dict[str, float] | None:
        """Return a run's loyalty to its teacher, or to the teacher's row on its split."""
        if cell.teacher is None:
            return loyalties(record, self._teachers, self._store)
        for other in self._records.get(cell.teacher, ()):
            if other.run.seed == record.run.seed:
                return loyalty_to(other, record, self._store)
        return None


def _unmeasured(cell: PlannedCell, records: Iterable[Record]) -> str:
    """Say why finished runs have no number for a cell."""
    if any(_is_simulated(cell, record) for record in records):
        return "8 bits are rounded in floating point here, which saves no time"
    if cell.how in ("attack", "cost"):
        return f"not measured yet: bench {cell.how} of runs made with --keep-models"
    if cell.how == "loyalty":
        return "the run of its teacher is not stored, or has been made again"
    return f"its runs have no {cell.number.metric}"


def _is_simulated(cell: PlannedCell, record: Record) -> bool:
    return cell.number.metric == "speedup" and record.simulates_int8


def _records(jobs: Iterable[Job], store: Store) -> list[Record]:
    found = [store.get(job.run) for job in jobs]
    return [record for record in found if record is not None]


def _teachers(jobs: Iterable[Job], store: Store) -> list[Record]:
    return _records([job.teacher for job in jobs if job.teacher is not None], store)
