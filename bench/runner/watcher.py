"""Hear how works go on: the callback of progress bars, logs and experiment trackers."""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.runner.agenda import Outcome
from fewbench.runner.jobs import Work
from fewbench.store.claims import Claim
from fewbench.store.progress import Progress


class Watcher:
    """The callback of `fewbench.runner.local.execute`: each of these does nothing by itself."""

    def started(self, work: Work) -> None:
        """Hear of a work that starts."""

    def progressed(self, work: Work, progress: Progress) -> None:
        """Hear how far a work is: a few times a second at most, and after each dev score."""

    def done(self, work: Work, outcome: Outcome) -> None:
        """Hear the end of a work, here or elsewhere."""

    def waiting(self, claims: Sequence[Claim]) -> None:
        """Hear that nothing can start, and what other commands are at; again every second."""

    def close(self) -> None:
        """Hear that no more will come."""


class Watchers(Watcher):
    """Several watchers that hear the same, in order."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def started(self, work: Work) -> None:
        """Hear of a work that starts."""
        for watcher in self._watchers:
            watcher.started(work)

    def progressed(self, work: Work, progress: Progress) -> None:
        """Hear how far a work is."""
        for watcher in self._watchers:
            watcher.progressed(work, progress)

    def done(self, work: Work, outcome: Outcome) -> None:
        """Hear the end of a work."""
        for watcher in self._watchers:
            watcher.done(work, outcome)

    def waiting(self, claims: Sequence[Claim]) -> None:
        """Hear what is waited for."""
        for watcher in self._watchers:
            watcher.waiting(claims)

    def close(self) -> None:
        """Hear that no more will come."""
        for watcher in self._watchers:
            watcher.close()
