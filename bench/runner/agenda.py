"""The works of one command that are not done: which may start now, and which others have begun.

A work may start when all that it needs is done, whatever else is under way. Commands that share a
results folder claim works (`fewbench.store.claims`); one that is claimed elsewhere is left until
its claim is gone. Then its whole record tells whether it is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from fewbench.runner.jobs import Job, Work
from fewbench.store.claims import Claim, Claims
from fewbench.store.record import Record
from fewbench.store.store import Stamp, Store


class Outcome(NamedTuple):
    """The end of a piece of work: a run's record, or the reason why a preparation failed.

    `elsewhere` is True for work that another command has done.
    """

    record: Record | None = None
    problem: str | None = None
    elsewhere: bool = False

    @property
    def failed(self) -> bool:
        """True for a failed run or preparation."""
        if self.problem is not None:
            return True
        return self.record is not None and self.record.status == "failed"


class Agenda:
    """The works that a command has still to do, those that others wait for first.

    Args:
        stages: the works, each stage after what it needs.
        store: holds what is done already.
        claims: of the store.
        stamps: the states of records' files when the works were planned, by key: a record of
            another state was made since by another command.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Work]],
        store: Store,
        claims: Claims,
        stamps: Mapping[str, Stamp],
    ) -> None:
        works = {work.key: work for work in chain.from_iterable(stages)}
        self._store, self._claims, self._stamps = store, claims, stamps
        self._open = set(works)
        needed = {need.key for work in works.values() for need in work.needs}
        first = sorted(works, key=lambda key: key not in needed)
        self._waiting = {key: works[key] for key in first}
        self._again: list[Work] = []
        self._alone: str | None = None
        self._elsewhere: dict[str, Claim] = {}
        self._found: list[tuple[Work, Outcome]] = []

    @property
    def elsewhere(self) -> list[Claim]:
        """The claims of other commands on works of this one, as last seen."""
        return list(self._elsewhere.values())

    @property
    def is_over(self) -> bool:
        """True if no work is left to start."""
        return not (self._waiting or self._again or self._found)

    def take(self, running: int) -> Work | None:
        """Claim a work that may start now, and return it; None if there is none.

        A work that was killed is tried again when nothing else can start, alone.

        Args:
            running: works under way here.

        Raises:
            StoreUnwritable: nothing can be written to the results folder.
        """
        if self._alone is not None:
            return None
        for work in list(self._waiting.values()):
            if self._is_ready(work) and self._claim(work):
                return self._waiting.pop(work.key)
        if running or not self._again:
            return None
        work = self._again.pop(0)
        self._alone = work.key
        return work

    def found(self) -> list[tuple[Work, Outcome]]:
        """Return the works that other commands have done since the last call."""
        found, self._found = self._found, []
        return found

    def is_second(self, work: Work) -> bool:
        """True if a work under way has been killed before."""
        return work.key == self._alone

    def again(self, work: Work) -> None:
        """Keep a work, whose process was killed, for another attempt; its claim stays."""
        self._again.append(work)

    def finish(self, work: Work) -> None:
        """Note that a work is done or has failed, and is stored: what needs it may start."""
        self._open.discard(work.key)
        self._alone = None if self._alone == work.key else self._alone
        self._claims.release(work.key)

    def _is_ready(self, work: Work) -> bool:
        return not any(need.key in self._open for need in work.needs)

    def _claim(self, work: Work) -> bool:
        """True if a work is claimed, and still to do."""
        other = self._claims.take(work.key, work.title)
        if other is not None:
            self._elsewhere[work.key] = other
            return False
        self._elsewhere.pop(work.key, None)
        outcome = done_since(work, self._store, self._stamps.get(work.key))
        if outcome is None:
            return True
        del self._waiting[work.key]
        self.finish(work)
        self._found.append((work, outcome))
        return False


def done_since(work: Work, store: Store, stamp: Stamp | None) -> Outcome | None:
    """Return the outcome of a work that another command has done since it was planned.

    Args:
        work: a run, or a preparation.
        store: of both commands.
        stamp: the state of the run's record when it was planned; None if there was none.
    """
    artifacts = store.artifacts
    if not isinstance(work, Job):
        return Outcome(elsewhere=True) if artifacts.has(work.key) else None
    stored = store.stored(work.run)
    if stored is None or stored.stamp == stamp:
        return None
    record = stored.record
    if record.method_code != work.method.code_hash():
        return None
    if record.status == "ok" and work.keep and not artifacts.has(work.model_key):
        return None
    return Outcome(record, elsewhere=True)
