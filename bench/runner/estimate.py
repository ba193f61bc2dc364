"""Estimate how long runs will take, from the records of similar ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from fewbench.runner.jobs import Job
from fewbench.store.store import Store
from fewbench.types import Run


def estimate_seconds(jobs: Sequence[Job], store: Store) -> float | None:
    """Add up the mean seconds of similar runs: same method, protocol, student and, if any, task.

    None if a job has no similar run.
    """
    each = estimates(jobs, store)
    return sum(each.values()) if len(each) == len({job.key for job in jobs}) else None


def estimates(jobs: Sequence[Job], store: Store) -> dict[str, float]:
    """Return the mean seconds of similar runs for each job that has any, by key."""
    if not jobs:
        return {}
    seconds: dict[tuple[str | None, ...], list[float]] = defaultdict(list)
    for record in store.summaries():
        if record.timing.total_seconds:
            like = _like(record.run)
            seconds[like].append(record.timing.total_seconds)
            seconds[(*like, record.run.task)].append(record.timing.total_seconds)
    found = {}
    for job in jobs:
        like = _like(job.run)
        similar = seconds.get((*like, job.run.task)) or seconds.get(like)
        if similar:
            found[job.key] = fmean(similar)
    return found


def _like(run: Run) -> tuple[str | None, ...]:
    return run.method, run.protocol, run.student.revision if run.student else None
