"""Runs carried out by workers on a cluster: what they are sent, what they do, and the driver."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from fewbench.cli.out import note
from fewbench.cli.run import HowToRun, carry_out_here, terminable
from fewbench.errors import BenchError, how_many
from fewbench.runner.executors.asked import RAY, AskedCluster
from fewbench.runner.plan import Request

if TYPE_CHECKING:
    from fewbench.runner.executors.crew import Crew
    from fewbench.runner.jobs import Job, Plan, Work
    from fewbench.store.store import Stamp, Store

SENT = ("FEWBENCH_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", "OMP_")
"""The starts of environment variables that workers get; nobody is sent a token."""


class WorkOrder(NamedTuple):
    """A part of a plan, as each worker is sent it: all make the same plan, and share it by claims.

    Args:
        requests: the plan is made of.
        keys: of the runs to do.
        stamps: the records that there were (`Plan.stamps`): others were made since, by workers.
        results: the results folder that all see.
        folder: where relative names begin.
        how: the conditions.
        variables: of the environment.
    """

    requests: tuple[Request, ...]
    keys: frozenset[str]
    stamps: Mapping[str, Stamp]
    results: Path
    folder: Path
    how: HowToRun
    variables: Mapping[str, str]


def carry_out_order(order: WorkOrder) -> None:
    """Do what is left of an order, as a worker: this is called on other machines.

    Raises:
        BenchError: the plan is another one here.
        KeyboardInterrupt: the worker was told to stop.
    """
    from fewbench.data.hub import go_offline
    from fewbench.runner.plan import joined, make_plan
    from fewbench.store.store import Store

    os.environ.update(order.variables)
    os.chdir(order.folder)
    if any(request.offline for request in order.requests):
        go_offline()
    store = Store(order.results, on_damage=lambda damage: note(f"warning: {damage}"))
    with terminable(), _no_main():
        plan = joined([make_plan(request, store) for request in order.requests])
        todo = [job for job in plan.jobs if job.key in order.keys]
        if len(todo) < len(order.keys):
            lacking = len(order.keys) - len(todo)
            raise BenchError(
                "not in the plan that is made here: "
                f"{lacking} of {how_many(len(order.keys), 'run')}",
                fix="the same version of fewbench, the same data and models on all machines",
            )
        carry_out_here(replace(plan, stamps=order.stamps), todo, store, order.how)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Hide the main module, a cluster library's: each process of a run would import it, too."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def order_of(
    requests: Sequence[Request],
    plan: Plan,
    todo: Sequence[Job],
    store: Store,
    how: HowToRun,
    asked: AskedCluster,
) -> WorkOrder:
    """Return the order that workers are sent, of some runs of a plan."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(SENT) and "TOKEN" not in name.replace("TOKENIZERS", "")
    }
    return WorkOrder(
        tuple(requests),
        frozenset(job.key for job in todo),
        dict(plan.stamps),
        store.root.absolute(),
        Path.cwd(),
        how._replace(workers=_at_once(how, asked), track=()),
        variables,
    )


def _at_once(how: HowToRun, asked: AskedCluster) -> int | None:
    """Return the number of runs a worker does at a time; None for what its GPUs have room for."""
    if how.workers or how.per_device:
        return how.workers
    if asked.executor == RAY:
        return 1
    return None if asked.each.gpus else max(1, int(asked.each.cpus) // how.threads)


def carry_out_remotely(
    plan: Plan,
    todo: Sequence[Job],
    store: Store,
    how: HowToRun,
    requests: Sequence[Request],
    asked: AskedCluster,
) -> bool:
    """Have workers on a cluster carry out the runs to do, and follow them, with progress on stderr.

    Returns:
        True if a run has failed, or was left, by workers that all have ended.

    Raises:
        BenchError: the cluster cannot be had, or refuses.
    """
    from fewbench.runner.executors.crew import send

    order = order_of(requests, plan, todo, store, how, asked)
    stages = plan.stages(todo)
    crew = send(partial(carry_out_order, order), asked, store.root)
    note(f"{crew.title} for {how_many(len(todo), 'run')}; records go to {store.runs}")
    if asked.detach:
        watch = shlex.join(["bench", "status", "--results", str(store.root)])
        note(f"left alone; to watch them: {watch}")
        return False
    try:
        with terminable():
            return _follow(stages, plan, store, how, crew)
    except KeyboardInterrupt:
        note(f"cancelled: {crew.title}")
        raise


def _follow(
    stages: Sequence[Sequence[Work]], plan: Plan, store: Store, how: HowToRun, crew: Crew
) -> bool:
    from fewbench.cli.progress import RunTally, shown
    from fewbench.runner.follow import Follower, follow
    from fewbench.runner.trackers import open_trackers
    from fewbench.runner.watcher import Watchers

    tally = RunTally(sum(map(len, stages)))
    trackers = Watchers(*open_trackers(how.track))
    with shown(tally) as screen, closing(trackers):
        follower = Follower(stages, store, plan.stamps, Watchers(tally, screen, trackers))
        followed = follow(
            follower, crew, fail_fast=how.fail_fast, on_states=partial(_say_states, crew.title)
        )
    note(tally.summary)
    if followed.left and not (how.fail_fast and followed.failed):
        note(f"left without a worker: {how_many(followed.left, 'run')}: {crew.last_words()}")
        note("the same command does what is left")
    return followed.failed + followed.left > 0


def _say_states(title: str, states: Mapping[str, int]) -> None:
    counts = [f"{count} {state}" for state, count in sorted(states.items())]
    note(f"{title.partition(',')[0]}: {', '.join(counts) or 'all workers have ended'}")
