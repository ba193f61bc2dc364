"""The local executor: runs on this machine, each in a process of its own, several at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing

from fewbench.errors import BenchError
from fewbench.runner.agenda import Agenda, Outcome
from fewbench.runner.devices import Rooms, make_rooms
from fewbench.runner.environment import checkpoint_seconds, cores, submitter
from fewbench.runner.jobs import Job, Work
from fewbench.runner.processes import End, Pool, WorkConditions
from fewbench.runner.refusals import refuse
from fewbench.runner.verdict import failure, judge, problem_of
from fewbench.runner.watcher import Watcher
from fewbench.store.claims import Claims
from fewbench.store.progress import Progress
from fewbench.store.store import Stamp, Store, StoreUnwritable

POLL = 1.0
"""Seconds between two looks at what other commands have begun."""


OnDone = Callable[[Work, Outcome], None]


def execute(
    stages: Sequence[Sequence[Work]],
    store: Store,
    *,
    workers: int | None,
    device: str,
    threads: int,
    on_done: OnDone,
    per_device: int | None = None,
    watcher: Watcher | None = None,
    stamps: Mapping[str, Stamp] | None = None,
    timeout: float | None = None,
    fail_fast: bool = False,
    settled: bool = False,
) -> int:
    """Carry out runs; write their records, and return how many works failed.

    A work starts when what it needs is there. One that another command on the same store has begun
    is left to it, and waited for at the end. A run whose process dies is a failed run, whatever the
    cause. One that was killed from outside (for lack of memory, say) is tried once more, alone.

    Args:
        stages: what to carry out, each stage after what it needs (`Plan.stages`).
        store: where records and artifacts go.
        workers: processes at a time on all devices together; None for as many as there is room for
            (`fewbench.runner.devices.make_rooms`).
        device: `cpu`, `cuda` (all GPUs), `cuda:1`, or `auto`.
        threads: torch's threads in each process (CPU).
        on_done: is called with each outcome.
        per_device: processes at a time on each GPU.
        watcher: is told what starts, how far it is, and what is waited for.
        stamps: the records that there were when the works were planned (`Plan.stamps`); None for
            those that there are now.
        timeout: seconds that each piece of work may take; None for no limit.
        fail_fast: stop at the first failure, and end what is under way.
        settled: the plan has been settled (`fewbench.runner.refusals`): nothing is asked again.

    Raises:
        BenchError: there is no such device, a variable of the environment is wrong, or a model or
            method refuses a run; nothing ran then.
        StoreUnwritable: a claim, a record or an artifact cannot be written; the disk is full, say.
        KeyboardInterrupt: interrupted; no file is left half-written.
    """
    works = [work for stage in stages for work in stage]
    if not works:
        return 0
    checkpoint_seconds()
    submitter()
    rooms = make_rooms(device, works, workers=workers, per_device=per_device, cores=cores())
    conditions = WorkConditions(threads, store.artifacts, timeout)
    if not settled:
        refuse(works, sum(rooms.values()))
    known = stamps_of(works, store) if stamps is None else stamps
    watcher = watcher or Watcher()
    failed = 0
    with ExitStack() as stack:
        claims = stack.enter_context(closing(store.claims()))
        agenda = Agenda(stages, store, claims, known)
        outcomes = _outcomes(agenda, claims, store, conditions, rooms, watcher)
        for work, outcome in stack.enter_context(closing(outcomes)):
            failed += outcome.failed
            on_done(work, outcome)
            watcher.done(work, outcome)
            if fail_fast and outcome.failed:
                return failed
    return failed


def stamps_of(works: Sequence[Work], store: Store) -> dict[str, Stamp]:
    """Return the states of the records that some works have, by key."""
    jobs = [work for work in works if isinstance(work, Job)]
    stored = {job.key: store.stored(job.run) for job in jobs}
    return {key: found.stamp for key, found in stored.items() if found is not None}


def _outcomes(
    agenda: Agenda,
    claims: Claims,
    store: Store,
    conditions: WorkConditions,
    rooms: Rooms,
    watcher: Watcher,
) -> Generator[tuple[Work, Outcome], None, None]:
    """Yield each work as it is done, here or elsewhere."""

    def hear(work: Work, progress: Progress) -> None:
        claims.note(work.key, progress)
        watcher.progressed(work, progress)

    with Pool[Work](conditions, rooms, hear) as pool:
        while True:
            _start(agenda, pool, watcher)
            if found := agenda.found():
                yield from found
            elif pool.running:
                waits = pool.has_room and not agenda.is_over
                for work, end in _ended(agenda, pool, POLL if waits else None):
                    outcome = _outcome(work, end, store, conditions.threads)
                    agenda.finish(work)
                    yield work, outcome
            elif agenda.is_over:
                return
            else:
                watcher.waiting(agenda.elsewhere)
                time.sleep(POLL)


def _start(agenda: Agenda, pool: Pool[Work], watcher: Watcher) -> None:
    """Start what there is room for."""
    while pool.has_room and (work := agenda.take(pool.running)) is not None:
        pool.start(work)
        watcher.started(work)


def _ended(
    agenda: Agenda, pool: Pool[Work], seconds: float | None
) -> Generator[tuple[Work, End], None, None]:
    """Yield the works that have ended, within some seconds, and are not to be tried again."""
    for work, end in pool.ended(seconds):
        if end.killed and not agenda.is_second(work):
            agenda.again(work)
        elif end.killed:
            yield work, end._replace(death="its process was killed, twice (out of memory?)")
        else:
            yield work, end


def _outcome(work: Work, end: End, store: Store, threads: int) -> Outcome:
    """Return the outcome of a work that has ended; a run's record is stored."""
    if not isinstance(work, Job):
        return Outcome(problem=end.death or problem_of(end.answer))
    if end.death is not None:
        record, predictions = failure(work, end.death, end.device, threads, end.trace), None
    else:
        record, predictions = judge(work, end.answer, end.device, threads)
    try:
        store.save(record, predictions)
    except StoreUnwritable:
        raise
    except BenchError as error:  # the record holds what cannot be stored
        record = failure(work, str(error), end.device, threads)
        store.save(record, None)
    if end.death is None:  # a run whose process died goes on from there when it is tried again
        store.artifacts.unfinished.remove(work.model_key)
    return Outcome(record)
