"""Choice of stored runs by task, K, seed, protocol and models."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fewbench.data.train_size import k_order
from fewbench.errors import BenchError
from fewbench.store.record import Record
from fewbench.store.seed_runs import HasRun, SeedRuns
from fewbench.store.selector import model_names
from fewbench.types import K, ModelRef, Run


@dataclass(frozen=True, slots=True)
class Wanted:
    """Records of some tasks (`task` or `task@source`), Ks, seeds, protocols and models.

    None takes all. A model fits by its folder's or its hub name's last part, with its revision
    (`name@12345678`) or without. What is made of a teacher itself, a quantised one say, has no
    student of its own: it fits whichever of the two names that teacher. Methods that use no model
    are always taken.
    """

    tasks: frozenset[str] | None = None
    ks: Collection[K] | None = None
    seeds: Collection[int] | None = None
    protocol: str | None = None
    student: str | None = None
    teacher: str | None = None

    def __contains__(self, record: object) -> bool:
        assert isinstance(record, Record)
        run = record.run
        return (
            (self.tasks is None or bool({run.task, f"{run.task}@{run.source}"} & self.tasks))
            and (self.ks is None or run.k in self.ks)
            and (self.seeds is None or run.seed in self.seeds)
            and self.protocol in (None, run.protocol)
            and self._has_models(run)
        )

    def check(self, records: Iterable[HasRun], where: str) -> None:
        """Refuse a protocol, K, student or teacher that no stored run has.

        Left to themselves they would select nothing, or the methods that use no model alone, as if
        these were the answer.

        Args:
            records: all that are stored.
            where: the folder of their results.

        Raises:
            BenchError: what is not there, with what is.
        """
        runs = [record.run for record in records]
        if not runs:
            return
        if self.protocol is not None:
            _check_stored("protocol", self.protocol, {run.protocol for run in runs}, where)
        self._check_ks({run.k for run in runs}, where)
        self._check_models(_models(runs), where)

    def _check_ks(self, stored: set[K], where: str) -> None:
        """Refuse Ks of which no stored run has one."""
        if self.ks is not None and not stored.intersection(self.ks):
            raise BenchError(
                f"no stored run has {' or '.join(f'K={k}' for k in self.ks)}",
                where=where,
                allowed=", ".join(str(k) for k in sorted(stored, key=k_order)),
                fix="bench ls runs lists what is stored",
            )

    def _check_models(self, stored: Collection[ModelRef], where: str) -> None:
        """Refuse a student or teacher that is not stored; runs without models have neither."""
        for role, name in (("student", self.student), ("teacher", self.teacher)):
            if stored and not any(_goes_by(ref, name) for ref in stored):
                _check_stored(role, str(name), {ref.name for ref in stored}, where)

    def of(self, groups: Iterable[SeedRuns]) -> list[SeedRuns]:
        """Return the groups of which runs are wanted, with these alone."""
        of_any_seed = replace(self, seeds=None)
        kept = [group for group in groups if group.like in of_any_seed]
        if self.seeds is not None:
            kept = [group.of_seeds(self.seeds) for group in kept]
        return [group for group in kept if group.runs]

    def _has_models(self, run: Run) -> bool:
        if run.student is None and run.teacher is not None:
            names = [name for name in (self.student, self.teacher) if name is not None]
            return not names or any(_goes_by(run.teacher, name) for name in names)
        return _goes_by(run.student, self.student) and _goes_by(run.teacher, self.teacher)


def _check_stored(what: str, given: str, stored: Collection[str], where: str) -> None:
    if given not in stored:
        raise BenchError(
            f"no stored run has the {what} '{given}'", where=where, allowed=stored, given=given
        )


def _models(runs: Iterable[Run]) -> set[ModelRef]:
    """Return the models of some runs, as students or teachers."""
    models: set[ModelRef | None] = set()
    for run in runs:
        models |= {run.student, run.teacher}
    return {model for model in models if model is not None}


def _goes_by(ref: ModelRef | None, name: str | None) -> bool:
    return name is None or ref is None or Path(name).name in model_names(ref)
