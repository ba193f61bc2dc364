"""The time that a run takes: one that was killed goes on from its checkpoint's."""

from __future__ import annotations

import time
from typing import NamedTuple


class Spent(NamedTuple):
    """Seconds by the clock, and of the processor, of all threads."""

    seconds: float
    processor: float


class RunClock:
    """Counts from when it is made, or from what an earlier process had counted."""

    def __init__(self) -> None:
        self._start = _now()

    def spent(self) -> Spent:
        """Return the time that has been counted."""
        now = _now()
        return Spent(
            round(now.seconds - self._start.seconds, 3),
            round(now.processor - self._start.processor, 3),
        )

    def go_on_from(self, earlier: Spent) -> None:
        """Go on from an earlier process's count, if that is more than this one's.

        What this one has done again up to here is not counted: no run is longer for being killed.
        """
        if earlier.seconds > self.spent().seconds:
            now = _now()
            self._start = Spent(now.seconds - earlier.seconds, now.processor - earlier.processor)


def _now() -> Spent:
    return Spent(time.perf_counter(), time.process_time())
