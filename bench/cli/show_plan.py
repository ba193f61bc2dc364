"""The plan that `bench run --dry-run` shows: runs by task and method, and what is built first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import TYPE_CHECKING

from fewbench.cli.out import note, print_json, print_list, shown_time
from fewbench.errors import how_many

if TYPE_CHECKING:
    from fewbench.runner.jobs import Job, Plan
    from fewbench.store.store import Store


@dataclass(slots=True)
class PlanRow:
    """The runs of a method, with its settings, on a task.

    `trials` and `updates` are those of the runs that are still to do; `updates` counts the most
    that a run may take.
    """

    task: str
    method: str
    todo: int = 0
    done: int = 0
    failed: int = 0
    trials: int = 0
    updates: int = 0


def show_plan(plan: Plan, todo: Sequence[Job], store: Store, workers: int, *, json: bool) -> None:
    """Print a plan on stdout, and on stderr how long its runs will take.

    Args:
        plan: of all runs.
        todo: those that would be carried out.
        store: of the records that the time is estimated from.
        workers: runs at a time.
        json: print JSON.
    """
    from fewbench.runner.estimate import estimate_seconds

    rows = plan_rows(plan, todo)
    seconds = estimate_seconds(todo, store)
    first = _built_first(plan, todo)
    if json:
        print_json(
            {
                "plan": [asdict(row) for row in rows],
                "first": first,
                "runs": len(todo),
                "estimated_seconds": seconds,
            }
        )
        return
    _print_rows(rows, first)
    note(what_is_left(plan, todo, seconds, workers))


def plan_rows(plan: Plan, todo: Sequence[Job]) -> list[PlanRow]:
    """Count the runs of a plan by task and method, in the plan's order."""
    open_keys = {job.key for job in todo}
    rows: dict[tuple[str, str], PlanRow] = {}
    for job in plan.jobs:
        place = job.task.full_name, _method_with_settings(job)
        row = rows.setdefault(place, PlanRow(*place))
        record = plan.records.get(job.key)
        if job.key in open_keys:
            row.todo += 1
            row.trials += len(job.trials)
            row.updates += job.updates
        elif record is not None and record.status == "failed":
            row.failed += 1
        else:
            row.done += 1
    return list(rows.values())


def _method_with_settings(job: Job) -> str:
    settings = ",".join(f"{name}={value}" for name, value in job.run.settings.items())
    return f"{job.run.method}:{settings}" if settings else job.run.method


def _built_first(plan: Plan, todo: Sequence[Job]) -> dict[str, int]:
    """Count, by title, the works that are built before the runs asked for, and their runs."""
    keys = {work.key for stage in plan.stages(todo) for work in stage}
    keys -= {job.key for job in plan.jobs}
    needed = [
        need
        for job in todo
        for need in (job.teacher, job.preparation)
        if need is not None and need.key in keys
    ]
    counts = Counter(need.key for need in needed)
    return {need.title: counts[need.key] for need in needed}


def _print_rows(rows: Sequence[PlanRow], first: Mapping[str, int]) -> None:
    names = [field.name for field in fields(PlanRow)]
    texts = [list(map(str, astuple(row))) for row in rows]
    print_list(names, texts, right=range(2, len(names)))
    if first:
        built = [[title, str(count)] for title, count in first.items()]
        print_list(("first", "for"), built, right=[1])


def what_is_left(plan: Plan, todo: Sequence[Job], seconds: float | None, workers: int) -> str:
    """Say how many runs of a plan are to do, and how long they will take.

    Args:
        plan: of all runs.
        todo: those that would be carried out.
        seconds: of these, one after the other; None where no record tells.
        workers: runs at a time.
    """
    if not todo:
        return nothing_to_do(plan)
    return f"{how_many(len(todo), 'run')} to do; {_how_long(seconds, min(workers, len(todo)))}"


def nothing_to_do(plan: Plan) -> str:
    """Say that every run of a plan has a record."""
    return f"nothing to do: {how_many(len(plan.jobs), 'run')} already stored"


def _how_long(seconds: float | None, workers: int) -> str:
    if seconds is None:
        return "no earlier runs to estimate the time from"
    shared = f"{shown_time(seconds / workers)} with {how_many(workers, 'worker')}"
    return f"about {shared}, by the records of like runs"
