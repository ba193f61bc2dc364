"""Workers that are tasks of Ray, on a cluster that is running or on this machine alone.

A worker whose node dies is started again by Ray, where there is room. What it was at is taken up
before that by the others, through their claims.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from fewbench.errors import BenchError, how_many
from fewbench.runner.executors.asked import Allotment, AskedCluster
from fewbench.runner.executors.crew import Crew, Errand
from fewbench.types import Json

MOST_RESTARTS = 100
"""How often Ray starts a worker again whose node or process has died."""

GRACE = 10.0
"""Seconds that workers get to stop."""


class RayTasks(Crew):
    """Tasks of Ray.

    Args:
        ray: the library, connected to a cluster.
        tasks: references to their ends.
        where: the cluster, for people.
    """

    def __init__(self, ray: Any, tasks: Sequence[Any], where: str) -> None:
        self._ray, self._tasks = ray, list(tasks)
        self.title = f"{where}, {how_many(len(self._tasks), 'worker')}"

    def states(self) -> Mapping[str, int]:
        """Count the workers that have not ended, at work or not."""
        left = self._left(0)
        return {"at work or waiting for room": len(left)} if left else {}

    def cancel(self) -> None:
        """Interrupt all workers, wait a little, and leave the cluster."""
        for task in self._left(0):
            with contextlib.suppress(Exception):  # it has ended, or its node has
                self._ray.cancel(task, force=False)
        self._left(GRACE)
        self._ray.shutdown()

    def dismiss(self) -> None:
        """Give workers a moment to find that all is done, interrupt the rest, and leave."""
        self._left(GRACE)
        self.cancel()

    def last_words(self) -> str:
        """Return the first line of an error that a worker has raised."""
        left = set(self._left(0))
        for task in self._tasks:
            if task in left:
                continue
            try:
                self._ray.get(task)
            except Exception as error:  # of whatever class it was
                return str(getattr(error, "cause", None) or error).splitlines()[0]
        return ""

    def _left(self, seconds: float) -> list[Any]:
        """Return the tasks that have not ended within some seconds."""
        _, left = self._ray.wait(
            self._tasks, num_returns=len(self._tasks), timeout=seconds, fetch_local=False
        )
        return list(left)


def spread(errand: Errand, asked: AskedCluster) -> RayTasks:
    """Start workers that do an errand, as many as asked for, or as there is room for.

    Raises:
        BenchError: there is no such cluster, or no room for a worker on this machine.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray's own future
        ray: Any = importlib.import_module("ray")
        _connect(ray, asked)
    where = f"Ray at {asked.address}" if asked.address else "Ray on this machine"
    needs = _needs(asked.each)
    room = sum(_room(node, needs) for node in ray.nodes())
    if not room and asked.address is None:
        ray.shutdown()
        raise BenchError(
            "no worker fits on this machine: "
            + ", ".join(f"{name} {amount:g}" for name, amount in needs.items()),
            fix="--per-job with less, or --address of a larger cluster",
        )
    each = asked.each
    remote = ray.remote(
        num_cpus=each.cpus,
        num_gpus=each.gpus,
        memory=needs.get("memory"),
        max_retries=MOST_RESTARTS,
        retry_exceptions=False,
    )(_do)
    return RayTasks(ray, [remote.remote(errand) for _ in range(asked.jobs or room or 1)], where)


def _do(errand: Errand) -> None:
    """Do an errand in a process of Ray's."""
    errand()


def _connect(ray: Any, asked: AskedCluster) -> None:
    """Connect to a cluster, or start one on this machine: never to one that merely runs here."""
    given: Json = {"address": asked.address or "local"}
    if asked.address is None:
        given["include_dashboard"] = False
    try:
        ray.init(**given, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BenchError(
            f"there is no Ray cluster at '{given['address']}': {str(error).splitlines()[0]}",
            allowed="HOST:PORT, auto (of this machine), or ray://HOST:PORT",
            fix="ray status shows whether one runs; without --address one is started here",
        ) from error


def _needs(each: Allotment) -> dict[str, float]:
    """Return the resources of a worker by the names that nodes list theirs with."""
    needs = {"CPU": each.cpus}
    if each.gpus:
        needs["GPU"] = each.gpus
    if each.memory:
        needs["memory"] = float(each.memory << 20)
    return needs


def _room(node: Json, needs: Mapping[str, float]) -> int:
    """Count the workers that fit on a node."""
    if not node.get("Alive"):
        return 0
    has: Mapping[str, float] = node.get("Resources", {})
    return int(min(has.get(name, 0.0) / amount for name, amount in needs.items()))
