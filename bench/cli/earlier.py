"""Messages of `bench run` about records that exist already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fewbench.cli.out import note
from fewbench.errors import how_many

if TYPE_CHECKING:
    from fewbench.runner.jobs import Job, Plan


NAMED = 3
"""How many methods a message names."""


def of_older_code(plan: Plan, todo: Sequence[Job]) -> Iterator[str]:
    """Yield messages about records made by other code of their methods than today's."""
    open_keys = {job.key for job in todo}
    older = {job.key: job.method.name for job in plan.older_jobs()}
    again = Counter(name for key, name in older.items() if key in open_keys)
    kept = Counter(name for key, name in older.items() if key not in open_keys)
    for name, runs in again.items():
        yield f"{name}: its code has changed since {runs} of its runs: they are run again"
    if kept:
        more = f" and {len(kept) - NAMED} more" if len(kept) > NAMED else ""
        yield (
            f"{', '.join(list(kept)[:NAMED])}{more}: {kept.total()} stored runs are of other code "
            "than today's (--force redoes them)"
        )


def failed_earlier(plan: Plan, todo: Sequence[Job]) -> int:
    """Count the runs of a plan that failed before and were not redone, and print a note."""
    redone = {job.key for job in todo}
    keys = [
        key
        for key, record in plan.records.items()
        if record.status == "failed" and key not in redone
    ]
    if keys:
        note(
            f"{how_many(len(keys), 'run')} failed earlier: --retry-failed redoes them; "
            f"bench show {keys[0][:8]} tells why"
        )
    return len(keys)
