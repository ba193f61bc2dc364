"""The workers of a plan on a cluster, as their driver sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fewbench.runner.executors.asked import SLURM, AskedCluster

Errand = Callable[[], None]
"""The work of each worker: it is sent to other machines by importable name and arguments."""


class Crew:
    """Workers that a cluster was asked for."""

    title = "workers"
    """Their name for people."""

    def states(self) -> Mapping[str, int]:
        """Count the workers in each state, without those that have ended."""
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


def send(errand: Errand, asked: AskedCluster, results: Path) -> Crew:
    """Ask a cluster for workers that do an errand.

    Args:
        errand: what each does.
        asked: how many, and what each gets.
        results: the folder of their logs' folder `jobs`.

    Raises:
        BenchError: the cluster cannot be had, or refuses.
    """
    if asked.executor == SLURM:
        from fewbench.runner.executors.slurm import submit

        return submit(errand, asked, results / "jobs")
    from fewbench.runner.executors.ray import spread

    return spread(errand, asked)
