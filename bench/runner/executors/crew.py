"""The workers of a plan on a cluster, as their driver sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fewbench.runner.executors.asked import SLURM, AskedCluster

Task = Callable[[], None]
"""What each worker does; it is sent to other machines by its importable name and its arguments."""


class Crew:
    """Workers that a cluster was asked for."""

    title = "workers"
    """Their name for people."""

    def states(self) -> Mapping[str, int]:
        """Return how many workers are in each state; those that have ended are left out."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End all workers: each stops as at Ctrl-C."""
        raise NotImplementedError

    def dismiss(self) -> None:
        """Let the workers go when all is done: those that wait for room never start."""
        raise NotImplementedError

    def last_words(self) -> str:
        """Return why a worker has ended early, as far as that is known; else an empty text."""
        return ""


def send(task: Task, asked: AskedCluster, results: Path) -> Crew:
    """Ask a cluster for workers that do a task.

    Args:
        task: what each does.
        asked: how many, and what each gets.
        results: the folder of their logs' folder `jobs`.

    Raises:
        BenchError: the cluster cannot be had, or refuses.
    """
    if asked.executor == SLURM:
        from fewbench.runner.executors.slurm import submit

        return submit(task, asked, results / "jobs")
    from fewbench.runner.executors.ray import spread

    return spread(task, asked)
