"""Shards: the runs of a plan dealt to machines that share no folder, by key alone.

A run belongs to one shard whatever else is in the plan, so that a plan of today and one of
yesterday, of which some runs are done, are dealt alike. Runs that learn from one teacher belong
together with it: it is trained once, in their shard, before them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from fewbench.errors import BenchError, shortened
from fewbench.runner.jobs import Job, Plan


class Shard(NamedTuple):
    """One of `total` parts of a plan, by its number from 1."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def holds(self, job: Job) -> bool:
        """True if a run belongs to the shard: by the key of the first teacher it comes from."""
        return int(job.lineage[-1].key[:16], 16) % self.total == self.number - 1

    def of(self, plan: Plan) -> Plan:
        """Return the shard's part of a plan."""
        jobs = tuple(job for job in plan.jobs if self.holds(job))
        needed = {needed.key for job in jobs for needed in job.lineage}
        records = {key: record for key, record in plan.records.items() if key in needed}
        return replace(plan, jobs=jobs, records=records)


def parse_shard(text: str | None) -> Shard | None:
    """Return the shard that `--shard` names; None if it is not given.

    Raises:
        BenchError: it names none.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text, re.ASCII)
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.number <= shard.total:
        raise BenchError(
            f"--shard is '{shortened(text)}'",
            allowed="I/N with I from 1 to N: 1/3, 2/3 and 3/3 are all of a plan",
            fix="--shard 1/3",
        )
    return shard
