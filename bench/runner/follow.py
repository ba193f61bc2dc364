"""Follow works that workers elsewhere carry out: records say what is done, claims what is begun.

What the cluster says of its workers counts in one thing alone: once all have ended, nothing more
will come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fewbench.runner.agenda import Outcome, done_since
from fewbench.runner.executors.crew import Crew
from fewbench.runner.jobs import Job, Work
from fewbench.runner.watcher import Watcher
from fewbench.store.progress import Progress
from fewbench.store.store import Stamp, Store

POLL = 2.0
"""Seconds between two looks; ten times as long as a look takes, if that is more."""


class Followed(NamedTuple):
    """The works that have failed, and the runs that nobody has done, when all workers are gone."""

    failed: int
    left: int


class Follower:
    """The state of works that are carried out elsewhere.

    Args:
        stages: the works, as `Plan.stages` gives them.
        store: where their records go.
        stamps: the records that there were when they were planned (`Plan.stamps`).
        watcher: is told what starts, how far it is, and how it ends.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Work]],
        store: Store,
        stamps: Mapping[str, Stamp],
        watcher: Watcher,
    ) -> None:
        self._open = {work.key: work for stage in stages for work in stage}
        self._store, self._stamps, self._watcher = store, stamps, watcher
        self._claims = store.claims()
        self._started: dict[str, Progress | None] = {}
        self.failed = 0

    @property
    def left(self) -> int:
        """The number of runs without an outcome; preparations are there for runs alone."""
        return sum(isinstance(work, Job) for work in self._open.values())

    def look(self) -> None:
        """Tell the watcher what has changed since the last look."""
        for work, outcome in self._ended():
            del self._open[work.key]
            self.failed += outcome.failed
            self._watcher.done(work, outcome)
        for claim in self._claims.all():
            if claim.key in self._open:
                self._hear(self._open[claim.key], claim.progress)

    def _ended(self) -> Iterator[tuple[Work, Outcome]]:
        for work in list(self._open.values()):
            outcome = done_since(work, self._store, self._stamps.get(work.key))
            if outcome is not None:
                yield work, outcome._replace(elsewhere=False)  # by workers of this command

    def _hear(self, work: Work, progress: Progress | None) -> None:
        """Pass on that a work has started, and what is new of its progress."""
        if work.key not in self._started:
            self._started[work.key] = None
            self._watcher.started(work)
        if progress is not None and progress != self._started[work.key]:
            self._started[work.key] = progress
            self._watcher.progressed(work, progress)


def follow(
    follower: Follower,
    crew: Crew,
    *,
    fail_fast: bool = False,
    on_states: Callable[[Mapping[str, int]], None] = lambda states: None,
    poll: float = POLL,
) -> Followed:
    """Follow works until all have an outcome or no worker is left, and let the workers go.

    Args:
        follower: of the works.
        crew: the workers.
        fail_fast: cancel the workers at the first failure.
        on_states: is called with the workers' states whenever these have changed.
        poll: seconds between two looks.

    Raises:
        KeyboardInterrupt: interrupted; the workers are cancelled.
    """
    states: Mapping[str, int] | None = None
    try:
        while True:
            began = time.monotonic()
            now = crew.states()  # before the look, which so sees all that those who ended did
            if now != states:
                states = now
                on_states(now)
            follower.look()
            if fail_fast and follower.failed:
                crew.cancel()
                break
            if not follower.left or not now:
                crew.dismiss()
                break
            time.sleep(max(poll, 10 * (time.monotonic() - began)))
    except KeyboardInterrupt:
        crew.cancel()
        raise
    return Followed(follower.failed, follower.left)
