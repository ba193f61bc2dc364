"""Runs that differ in nothing but their split seed: what a table needs of a hundred thousand."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fewbench.store.columns import to_plain
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts
from fewbench.store.record import Record
from fewbench.types import Run

if TYPE_CHECKING:
    from typing_extensions import Self

NO_COSTS: Mapping[str, float] = MappingProxyType({})


class HasRun(Protocol):
    """Anything of a run: a record, or a group of runs that differ in their seed."""

    @property
    def run(self) -> Run:
        """The run, or one of the group."""
        ...

    def with_run(self, run: Run) -> Self:
        """Return the same of another run."""
        ...


class SeedRun(NamedTuple):
    """A run's split seed, key, headline test score (None if it failed), and its costs by name."""

    seed: int
    key: str
    score: float | None
    costs: Mapping[str, float] = NO_COSTS


@dataclass(slots=True)
class SeedRuns:
    """Runs that tables place alike.

    `like` is a record of any of them. What is of its own seed is not to be looked at, unless the
    group is of that run alone.
    """

    like: Record
    runs: list[SeedRun]

    @classmethod
    def alone(cls, record: Record, costs: Mapping[str, float] = NO_COSTS) -> SeedRuns:
        """Return the group of one run."""
        return cls(record, [seed_run(record)._replace(costs=costs)])

    @property
    def run(self) -> Run:
        """A run of the group."""
        return self.like.run

    @property
    def failed(self) -> int:
        """The number of runs without a score."""
        return sum(run.score is None for run in self.runs)

    def of_seeds(self, seeds: Container[int]) -> SeedRuns:
        """Return the group with its runs of some split seeds only."""
        return SeedRuns(self.like, [run for run in self.runs if run.seed in seeds])

    def with_run(self, run: Run) -> SeedRuns:
        """Return the group with another run in its record."""
        return SeedRuns(self.like.with_run(run), self.runs)


def seed_run(record: Record) -> SeedRun:
    """Return a record's run as one of a group."""
    score = record.score
    return SeedRun(record.run.seed, record.run.key, None if score is None else float(score))


def groups_of(records: Iterable[Record]) -> tuple[list[Record], list[int]]:
    """Return the part that each group of records shares, and the number of each record's group.

    Raises:
        ValueError: a record holds what JSON cannot.
        TypeError: the same.
    """
    common: dict[str, Record] = {}
    numbers: dict[str, int] = {}
    of = []
    for record in records:
        shared = _common(record)
        text = json.dumps(to_plain(shared), sort_keys=True)
        common.setdefault(text, shared)
        of.append(numbers.setdefault(text, len(numbers)))
    return list(common.values()), of


def _common(record: Record) -> Record:
    """Return a record without what is of its seed alone, or what no table looks at."""
    run = record.run
    inputs = replace(run.inputs, split="", teacher="")
    # The fingerprint of the test rows tells cells apart where no hash of all of them is known.
    fingerprint = "" if inputs.test_set else run.test_fingerprint
    whole = "" if inputs.test_set else record.split.whole_test_fingerprint
    return Record(
        run=replace(
            run, seed=0, key="", fingerprint="", test_fingerprint=fingerprint, inputs=inputs
        ),
        status=record.status,
        scores={},
        selection=Selection(metric=record.selection.metric, positive=record.selection.positive),
        split=SplitFacts(whole_test_fingerprint=whole),
        details={name: value for name, value in record.details.items() if name == "int8"},
        method_code=record.method_code,
        environment=Environment(
            device=record.environment.device, threads=record.environment.threads
        ),
        timing=RunTiming(),
    )
