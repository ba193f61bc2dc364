"""The bare `bench run`: four methods that differ, on two small tasks and three splits, best first.

Its records go to the user's cache, so that the folder it is run in stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from fewbench.cli.out import k_values, print_list, say, say_wrapped
from fewbench.errors import how_many
from fewbench.io.kept import user_cache

if TYPE_CHECKING:
    from fewbench.store.record import Record

METHODS = {
    "majority": "the most frequent label: no model, the score to beat",
    "ft": "fine-tuning with a new head",
    "prompt-ft": "fine-tuning with a prompt and label words",
    "prompt-kd": "prompt-ft that learns a larger teacher's answers too",
}
ALL = "bench run --methods all --tasks demo"
FEW = "bench run --methods few-shot --tasks sst-2"
TASKS = ("demo-sentiment", "demo-inference")
SEEDS = "13,21,42"
NEXT = (
    ("Every method on four small tasks, one split (about five minutes)", ALL),
    ("Methods for few examples on a real task, fetched once", FEW),
    ("What can be run; also: tasks, suites, models, protocols", "bench ls methods"),
)


def cache() -> Path:
    """Return the folder of its records: of the user, and of no project."""
    return user_cache() / "first-look"


class Asked(NamedTuple):
    """The options of the bare `bench run`."""

    methods: list[str]
    tasks: list[str]
    seeds: str
    protocol: str
    results: Path


def asked(k: str | None, seeds: str | None, protocol: str | None, results: Path | None) -> Asked:
    """Return the options that are meant where neither methods nor tasks are named."""
    from fewbench.runner.plan import usual_protocol

    return Asked(
        list(METHODS),
        list(TASKS),
        seeds or SEEDS,
        protocol or usual_protocol(("demo",), k_values(k)),
        results or cache(),
    )


def show(records: Sequence[Record], results: Path) -> None:
    """Print a row per method, best first, with intervals; then what it is, and what to do next.

    Args:
        records: those of the run.
        results: the folder that holds them.
    """
    say(_caption(records))
    say("")
    tasks = sorted({record.run.task for record in records}, reverse=True)
    best_first = _best_first(records)
    rows = [_row(name, records, tasks) for name in best_first]
    header = ("method", "average", "95 % interval", *tasks)
    print_list(header, rows, right=range(1, len(header)))
    say("")
    for name in best_first:
        say(f"{name:<10} {METHODS.get(name, '')}".rstrip())
    say("")
    say_wrapped(
        "A glance: short trainings of small models on few splits, which hardly tell methods apart, "
        "as the intervals show."
    )
    say(f"Records: {results}")
    say("")
    for what, command in NEXT:
        say(f"{what}:\n  {command}")


def _caption(records: Sequence[Record]) -> str:
    """Say what was run, in a line."""
    ks = " or ".join(sorted({str(record.run.k) for record in records}))
    seeds = len({record.run.seed for record in records})
    tasks = len({record.run.task for record in records})
    counts = f"{how_many(tasks, 'task')}, {how_many(seeds, 'split')} each"
    return f"Accuracy with {ks} examples a label: {counts}"


def _by_seed(name: str, records: Sequence[Record]) -> list[float]:
    """Return a method's mean over tasks, by split, in percent."""
    seeds: dict[int, list[float]] = {}
    for record in records:
        if record.run.method == name and record.score is not None:
            seeds.setdefault(record.run.seed, []).append(100 * record.score)
    return [fmean(scores) for scores in seeds.values()]


def _best_first(records: Sequence[Record]) -> list[str]:
    names = {record.run.method for record in records if record.score is not None}
    return sorted(names, key=lambda name: (-fmean(_by_seed(name, records)), name))


def _row(name: str, records: Sequence[Record], tasks: Sequence[str]) -> list[str]:
    from fewbench.report.statistics.interval import interval

    means = _by_seed(name, records)
    low, high = interval(means)
    bounds = "does not vary" if low is None else f"{low:.1f} to {high:.1f}"
    scores = [_task_mean(name, records, task) for task in tasks]
    return [name, f"{fmean(means):.1f}", bounds, *scores]


def _task_mean(name: str, records: Sequence[Record], task: str) -> str:
    scores = []
    for record in records:
        run = record.run
        if run.method == name and run.task == task and record.score is not None:
            scores.append(100 * record.score)
    return f"{fmean(scores):.1f}" if scores else "-"
