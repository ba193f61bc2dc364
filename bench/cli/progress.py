"""The progress of works on stderr: bars on a terminal, otherwise a line per finished work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fewbench.cli.out import note, shown_time
from fewbench.errors import visible
from fewbench.runner.agenda import Outcome
from fewbench.runner.watcher import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from fewbench.runner.jobs import Work
    from fewbench.store.claims import Claim
    from fewbench.store.progress import Progress

SHOWN_CLAIMS = 3
"""The most works that a line names of those that other commands are at."""


def line_of(work: Work, outcome: Outcome) -> str:
    """Describe a finished work in one line."""
    record = outcome.record
    elsewhere = " (done elsewhere)" if outcome.elsewhere else ""
    if outcome.failed:
        reason = (outcome.problem or (record and record.error) or "").splitlines()[0]
        return f"FAILED {work.title}: {reason}{elsewhere}" + (
            f" (bench show {record.run.key[:8]})" if record else ""
        )
    if record is None:
        return work.title + elsewhere
    metric = record.question.task.metric_name
    return f"{work.title}  {metric} {100 * record.finished_score:.1f}{elsewhere}"


class RunTally(Watcher):
    """Counts what was done, here and elsewhere, and how long nothing but waiting was left."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.finished = self.failed = self.elsewhere = 0
        self._began = time.monotonic()
        self._waits_since: float | None = None
        self._waited = 0.0

    def started(self, work: Work) -> None:
        """Hear of a work that starts: the waiting is over."""
        self._go_on()

    def done(self, work: Work, outcome: Outcome) -> None:
        """Count a work."""
        self._go_on()
        self.finished += 1
        self.failed += outcome.failed
        self.elsewhere += outcome.elsewhere

    def waiting(self, claims: Sequence[Claim]) -> None:
        """Begin to wait."""
        self._waits_since = self._waits_since or time.monotonic()

    @property
    def summary(self) -> str:
        """All of it in one line."""
        self._go_on()
        here = self.finished - self.failed
        elsewhere = f" ({self.elsewhere} elsewhere)" if self.elsewhere else ""
        left = self.total - self.finished
        unfinished = f", {left} left (--fail-fast)" if left else ""
        waited = f", {shown_time(self._waited)} of it waiting" if self._waited >= 1 else ""
        took = shown_time(time.monotonic() - self._began)
        return f"{here} done, {self.failed} failed{elsewhere}{unfinished}, in {took}{waited}"

    def _go_on(self) -> None:
        if self._waits_since is not None:
            self._waited += time.monotonic() - self._waits_since
            self._waits_since = None


def waiting_for(claims: Sequence[Claim]) -> str:
    """Say what other commands are at, and where."""
    shown = [f"{claim.title or claim.key[:8]} ({claim.by})" for claim in claims[:SHOWN_CLAIMS]]
    more = len(claims) - len(shown)
    rest = [f"{more} more"] if more > 0 else []
    return f"waiting for {len(claims)} under way elsewhere: {', '.join([*shown, *rest])}"


class Lines(Watcher):
    """A line per finished work, and one when there is something else to wait for."""

    def __init__(self, tally: RunTally) -> None:
        self._tally = tally
        self._awaited: set[str] = set()

    def done(self, work: Work, outcome: Outcome) -> None:
        """Print how a work ended."""
        note(f"[{self._tally.finished}/{self._tally.total}] {line_of(work, outcome)}")

    def waiting(self, claims: Sequence[Claim]) -> None:
        """Print what is waited for, once."""
        keys = {claim.key for claim in claims}
        if keys - self._awaited:
            note(waiting_for(claims))
        self._awaited |= keys


class Screen(Watcher):
    """A bar for all works, and one for each that is under way; failures stay on the screen."""

    def __init__(self, bars: Bars, total: int) -> None:
        self._bars = bars
        self._all = bars.add_task("starting", total=total)
        self._running: dict[str, TaskID] = {}

    def started(self, work: Work) -> None:
        """Show a work."""
        self._running[work.key] = self._bars.add_task(visible(work.title), total=None)
        self._bars.update(self._all, description=f"{len(self._running)} under way")

    def progressed(self, work: Work, progress: Progress) -> None:
        """Move a work's bar, and show its trial and its last loss."""
        if work.key not in self._running:
            return
        loss = "" if progress.loss is None else f" {progress.loss:.3f}"
        trial = f" {progress.trial}/{progress.trials}" if progress.trials > 1 else ""
        self._bars.update(
            self._running[work.key],
            total=progress.steps or None,
            completed=progress.step,
            description=visible(f"{work.title}{trial}{loss}"),
        )

    def done(self, work: Work, outcome: Outcome) -> None:
        """Take a work's bar away."""
        if work.key in self._running:
            self._bars.remove_task(self._running.pop(work.key))
        self._bars.update(self._all, advance=1, description=f"{len(self._running)} under way")
        if outcome.failed:
            text = visible(line_of(work, outcome))
            self._bars.console.print(text, markup=False, highlight=False)

    def waiting(self, claims: Sequence[Claim]) -> None:
        """Show what is waited for."""
        self._bars.update(self._all, description=visible(waiting_for(claims)))


@contextmanager
def shown(tally: RunTally) -> Iterator[Watcher]:
    """Show works that a tally counts: bars on a terminal, else lines."""
    if not sys.stderr.isatty():
        yield Lines(tally)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.table import Column

    columns = (
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        Remaining(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield Screen(bars, tally.total)
