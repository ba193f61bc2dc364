"""The local executor: each piece of work on this machine in a process of its own, some of them at a
time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.runner.jobs import Job, Work
from fewbench.runner.preflight import Checks, checks_of, error_of
from fewbench.runner.processes import End, WorkConditions, each, get_ready
from fewbench.runner.verdict import failure, judge, problem_of, refusals_of
from fewbench.store.record import Record
from fewbench.store.store import Store, StoreUnwritable


class Outcome(NamedTuple):
    """What became of a piece of work: a run's record, or why a preparation failed, if it did."""

    record: Record | None = None
    problem: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return self.problem is not None or (
            self.record is not None and self.record.status == "failed"
        )


OnDone = Callable[[Work, Outcome], None]


def execute(
    stages: Sequence[Sequence[Work]],
    store: Store,
    *,
    workers: int,
    device: str,
    threads: int,
    on_done: OnDone,
    timeout: float | None = None,
    fail_fast: bool = False,
) -> int:
    """Carry out runs, stage by stage, and write their records. Return how many pieces of work
    failed.

    A run that dies, whatever of, is that run's failure. One whose process was killed from outside
    (for memory, say) is tried once more, alone.

    Args:
        stages: what to carry out, each stage after what it needs (`Plan.stages`).
        store: where records and artifacts go.
        workers: processes at a time.
        device: `cpu`, `cuda`, `cuda:1`, or `auto`.
        threads: torch's threads in each process (CPU).
        on_done: hears of each outcome.
        timeout: seconds that each piece of work may take; None for as long as it takes.
        fail_fast: stop at the first failure, and end what is under way.

    Raises:
        BenchError: the device is not there, or something does not fit and is refused before
            anything runs.
        StoreUnwritable: a record or an artifact cannot be written; the disk is full, say.
        KeyboardInterrupt: interrupted; what was being written is whole.
    """
    works = [work for stage in stages for work in stage]
    if not works:
        return 0
    conditions = WorkConditions(choose_device(device), threads, store.artifacts, timeout)
    preflight(works, conditions, workers)
    failed = 0
    for stage in stages:
        with closing(_outcomes(stage, store, conditions, workers)) as outcomes:
            for work, outcome in outcomes:
                failed += outcome.failed
                on_done(work, outcome)
                if fail_fast and outcome.failed:
                    return failed
    return failed


def preflight(works: Sequence[Work], conditions: WorkConditions, workers: int) -> None:
    """Refuse a plan of which something does not fit, before anything is carried out.

    Raises:
        BenchError: what is refused first.
    """
    get_ready()
    for error in refused(checks_of(works), conditions, workers):
        if error is not None:
            raise error


def refused(
    asked: Sequence[Checks], conditions: WorkConditions, workers: int
) -> list[BenchError | None]:
    """Return what is refused of all that is asked, in the order of what is asked: None where
    nothing is.
    """
    conditions = conditions._replace(device="cpu")
    found: dict[int, list[BenchError | None]] = {}
    with closing(each(asked, conditions, workers)) as ended:
        for checks, end in ended:
            found[asked.index(checks)] = _refusals(checks, end)
    return [error for number in range(len(asked)) for error in found[number]]


def _refusals(checks: Checks, end: End) -> list[BenchError | None]:
    if end.death is not None:
        return [BenchError(f"{checks.title} broke down: {end.death}")] * len(checks.works)
    refusals = refusals_of(end.answer, checks.title, len(checks.works))
    return [error_of(told) if told else None for told in refusals]


def _outcomes(
    stage: Sequence[Work], store: Store, conditions: WorkConditions, workers: int
) -> Generator[tuple[Work, Outcome], None, None]:
    """Yield each piece of work as it is done; after all others, alone, those whose processes were
    killed.
    """
    again: list[Work] = []
    with closing(each(stage, conditions, workers)) as ended:
        for work, end in ended:
            if end.killed:
                again.append(work)
            else:
                yield work, _outcome(work, end, store, conditions)
    with closing(each(again, conditions, 1)) as ended:
        for work, end in ended:
            if end.killed:
                end = end._replace(death="its process was killed, twice (out of memory?)")
            yield work, _outcome(work, end, store, conditions)


def _outcome(work: Work, end: End, store: Store, conditions: WorkConditions) -> Outcome:
    """Return what became of a piece of work, its record stored if it is a run."""
    if not isinstance(work, Job):
        return Outcome(problem=end.death or problem_of(end.answer))
    device, threads = conditions.device, conditions.threads
    if end.death is not None:
        record, predictions = failure(work, end.death, device, threads, end.trace), None
    else:
        record, predictions = judge(work, end.answer, device, threads)
    try:
        store.save(record, predictions)
    except StoreUnwritable:
        raise
    except (
        BenchError
    ) as error:  # the record holds what cannot be stored: that is this run's failure
        record = failure(work, str(error), device, threads)
        store.save(record, None)
    return Outcome(record)


def choose_device(name: str) -> str:
    """Return the device a name stands for.

    Raises:
        BenchError: it is not there.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BenchError(
            f"unknown device '{name}'", allowed="auto, cpu, cuda, cuda:0", fix="--device auto"
        ) from error
    count = torch.cuda.device_count()
    if device.type not in ("cpu", "cuda") or (
        device.type == "cuda" and (device.index or 0) >= count
    ):
        raise BenchError(
            f"there is no device '{name}' here",
            allowed=["auto", "cpu"],
            fix="bench doctor shows devices",
        )
    return name
