"""The local executor: runs on this machine, each in a process of its own, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.runner.environment import checkpoint_seconds, submitter
from fewbench.runner.jobs import Job, Work
from fewbench.runner.processes import End, WorkConditions, each
from fewbench.runner.refusals import refuse
from fewbench.runner.verdict import failure, judge, problem_of
from fewbench.store.record import Record
from fewbench.store.store import Store, StoreUnwritable


class Outcome(NamedTuple):
    """The end of a piece of work: a run's record, or the reason why a preparation failed."""

    record: Record | None = None
    problem: str | None = None

    @property
    def failed(self) -> bool:
        """True for a failed run or preparation."""
        if self.problem is not None:
            return True
        return self.record is not None and self.record.status == "failed"


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
    settled: bool = False,
) -> int:
    """Carry out runs, stage by stage; write their records, and return how many works failed.

    A run whose process dies is a failed run, whatever the cause. One that was killed from outside
    (for lack of memory, say) is tried once more, alone.

    Args:
        stages: what to carry out, each stage after what it needs (`Plan.stages`).
        store: where records and artifacts go.
        workers: processes at a time.
        device: `cpu`, `cuda`, `cuda:1`, or `auto`.
        threads: torch's threads in each process (CPU).
        on_done: is called with each outcome.
        timeout: seconds that each piece of work may take; None for no limit.
        fail_fast: stop at the first failure, and end what is under way.
        settled: the plan has been settled (`fewbench.runner.refusals`): nothing is asked again.

    Raises:
        BenchError: there is no such device, a variable of the environment is wrong, or a model or
            method refuses a run; nothing ran then.
        StoreUnwritable: a record or an artifact cannot be written; the disk is full, say.
        KeyboardInterrupt: interrupted; no file is left half-written.
    """
    works = [work for stage in stages for work in stage]
    if not works:
        return 0
    checkpoint_seconds()
    submitter()
    conditions = WorkConditions(choose_device(device), threads, store.artifacts, timeout)
    if not settled:
        refuse(works, workers)
    failed = 0
    for stage in stages:
        with closing(_outcomes(stage, store, conditions, workers)) as outcomes:
            for work, outcome in outcomes:
                failed += outcome.failed
                on_done(work, outcome)
                if fail_fast and outcome.failed:
                    return failed
    return failed


def _outcomes(
    stage: Sequence[Work], store: Store, conditions: WorkConditions, workers: int
) -> Generator[tuple[Work, Outcome], None, None]:
    """Yield each work as it is done; those whose processes were killed come last, one at a time."""
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
    """Return the outcome of a work that has ended; a run's record is stored."""
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
    except BenchError as error:  # the record holds what cannot be stored
        record = failure(work, str(error), device, threads)
        store.save(record, None)
    if end.death is None:  # a run whose process died goes on from there when it is tried again
        store.artifacts.unfinished.remove(work.model_key)
    return Outcome(record)


def choose_device(name: str) -> str:
    """Return the device that a name stands for: for `auto`, a GPU where there is one.

    Raises:
        BenchError: there is no such device.
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
    indices = {"cpu": 1, "cuda": torch.cuda.device_count()}
    if (device.index or 0) >= indices.get(device.type, 0):
        raise BenchError(
            f"there is no device '{name}' here",
            allowed=["auto", "cpu"],
            fix="bench doctor shows devices",
        )
    return name
