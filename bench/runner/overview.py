"""The state of a results folder: what is stored, under way, failing, and left of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fewbench.runner.estimate import estimates
from fewbench.runner.jobs import Job, Plan
from fewbench.store.cell import label
from fewbench.store.claims import Claim, Claims
from fewbench.store.record import Record
from fewbench.store.store import Store


class Failing(NamedTuple):
    """A failed run: its key, its title and the first line of its error."""

    key: str
    title: str
    error: str


class Counts(NamedTuple):
    """The runs of a plan, or of a folder: `left` are those that nobody is at."""

    runs: int
    done: int
    failed: int
    under_way: int
    left: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of a results folder.

    `under_way` are the claims whose holders may be alive, `ended` those whose holders have ended or
    were silent for too long. `seconds` is what the plan will take with as many runs at a time as
    now; None where there is no plan, or no record tells.
    """

    counts: Counts
    under_way: tuple[Claim, ...]
    ended: tuple[Claim, ...]
    failing: tuple[Failing, ...]
    seconds: float | None = None


def overview_of(store: Store) -> Overview:
    """Return the state of a folder, whatever its runs were planned for."""
    records = list(store.summaries())
    under_way, ended = _sorted(store.claims())
    failing = [_failing(record) for record in records if record.status == "failed"]
    done = len(records) - len(failing)
    counts = Counts(len(records), done, len(failing), len(under_way), 0)
    return Overview(counts, under_way, ended, tuple(failing))


def overview_of_plan(store: Store, plan: Plan, todo: Sequence[Job], workers: int) -> Overview:
    """Return the state of a plan in a folder.

    Args:
        store: the folder.
        plan: of all runs.
        todo: those that would be carried out.
        workers: runs at a time, where none is under way.
    """
    under_way, ended = _sorted(store.claims())
    open_jobs = [work for stage in plan.stages(todo) for work in stage if isinstance(work, Job)]
    claims = {claim.key: claim for claim in under_way}
    failing = _failing_of(plan)
    counts = _counts(plan, todo, claims, failing)
    seconds = _seconds(open_jobs, claims, store)
    if seconds is not None:
        seconds /= min(len(claims) or workers, len(open_jobs) or 1)
    return Overview(counts, under_way, ended, tuple(failing), seconds)


def _failing_of(plan: Plan) -> list[Failing]:
    records = (plan.records.get(job.key) for job in plan.jobs)
    return [_failing(record) for record in records if record and record.status == "failed"]


def _counts(
    plan: Plan, todo: Sequence[Job], claims: Mapping[str, Claim], failing: Sequence[Failing]
) -> Counts:
    """Count the runs of a plan; one that is to be done again is not counted as failed."""
    open_keys = {job.key for job in todo}
    failed = sum(failure.key not in open_keys for failure in failing)
    under_way = len(open_keys & claims.keys())
    done = len(plan.jobs) - len(todo) - failed
    return Counts(len(plan.jobs), done, failed, under_way, len(todo) - under_way)


def _seconds(jobs: Sequence[Job], claims: Mapping[str, Claim], store: Store) -> float | None:
    """Add up what runs will take, one after the other; of one under way the rest counts."""
    each = estimates(jobs, store)
    if len(each) < len(jobs):
        return None
    shares = {key: claim.progress.share for key, claim in claims.items() if claim.progress}
    return sum(seconds * (1 - shares.get(key, 0.0)) for key, seconds in each.items())


def _sorted(claims: Claims) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
    """Return the claims whose holders may be alive, and the others."""
    found = claims.all()
    ended = tuple(claim for claim in found if _has_ended(claim, claims))
    return tuple(claim for claim in found if claim not in ended), ended


def _has_ended(claim: Claim, claims: Claims) -> bool:
    gone = claim.holder is not None and claim.holder.is_gone
    return gone or claims.is_silent(claim)


def _failing(record: Record) -> Failing:
    run = record.run
    title = f"{record.question.task.name} {label(run.method, run.settings)} k{run.k} s{run.seed}"
    return Failing(run.key, title, (record.error or "").split("\n")[0])
