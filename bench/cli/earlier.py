"""Messages of `bench run` about records that exist already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fewbench.cli.out import note

if TYPE_CHECKING:
    from fewbench.runner.jobs import Job, Plan


def of_older_code(plan: Plan, todo: Sequence[Job]) -> Iterator[str]:
    """Yield messages about records made by other code of their methods than today's."""
    open_keys = {job.key for job in todo}
    older = plan.older_jobs()
    for name in dict.fromkeys(job.method.name for job in older):
        keys = {job.key for job in older if job.method.name == name}
        if again := len(keys & open_keys):
            yield f"{name}: its code has changed since {again} of its runs: they are run again"
        if kept := len(keys - open_keys):
            yield f"{name}: {kept} stored runs are of other code than today's (--force redoes them)"


def failed_earlier(plan: Plan, todo: Sequence[Job]) -> int:
    """Count the runs of a plan that failed before and were not redone, and print a note."""
    redone = {job.key for job in todo}
    keys = [
        key
        for key, record in plan.records.items()
        if record.status == "failed" and key not in redone
    ]
    if keys:
        count = f"{len(keys)} runs" if len(keys) > 1 else "1 run"
        note(
            f"{count} failed earlier: --retry-failed redoes them; "
            f"bench show {keys[0][:8]} tells why"
        )
    return len(keys)
