"""The local executor: jobs on this machine, one after another or in worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, NamedTuple

from fewbench.cell import label
from fewbench.errors import BenchError
from fewbench.jobs import Job, Preparation, Work
from fewbench.pipeline import settings_of
from fewbench.record import Record
from fewbench.runner.one import ask_preparation, carry_out, failure, prepare
from fewbench.store import Store, StoreUnwritable

if TYPE_CHECKING:
    from fewbench.parts.kit import Models

ATTEMPTS = 2
"""How often a job is tried whose worker process died (killed for memory, say) before that counts as its failure."""

_worker: dict[str, Any] = {}


class Outcome(NamedTuple):
    """What became of a piece of work: a run's record, or why a preparation failed, if it did."""

    record: Record | None = None
    problem: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return self.problem is not None or (self.record is not None and self.record.status == "failed")


OnDone = Callable[[Work, Outcome], None]


def execute(
    stages: Sequence[Sequence[Work]], store: Store, *, workers: int, device: str, threads: int, on_done: OnDone
) -> int:
    """Carry out runs, stage by stage; each writes its own record. Return how many failed.

    Args:
        stages: what to carry out, each stage after what it needs (`Plan.stages`).
        store: where records and artifacts go.
        workers: processes; with one, everything happens in this process.
        device: `cpu`, `cuda`, `cuda:1`, or `auto`.
        threads: torch's threads in each worker (CPU).
        on_done: hears of each outcome, here and not in the worker.

    Raises:
        BenchError: the device is not there, or a record cannot be written.
        KeyboardInterrupt: interrupted; what was being written is whole.
    """
    device = choose_device(device)
    works = [work for stage in stages for work in stage]
    _preflight(works)
    if min(workers, len(works)) <= 1:
        _start(device, threads)
        failed = 0
        for work in works:
            outcome = _carry_out(work, store)
            failed += outcome.failed
            on_done(work, outcome)
        return failed
    return sum(_in_processes(stage, store, workers, device, threads, on_done) for stage in stages)


def _preflight(works: Sequence[Work]) -> None:
    """Load each model once and hold each task against it, so that what does not fit stops the whole plan at once.

    Raises:
        ModelError: a model that cannot be loaded whole.
        BenchError: a label word of several tokens, a template that the model cannot read, a task longer than its
            positions, or what a method's own `check` or `check_prepare` refuses.
    """
    import torch

    from fewbench.parts.kit import Models
    from fewbench.parts.views import prompt_model

    models = Models(torch.device("cpu"))
    checked: set[object] = set()
    for job in (work for work in works if isinstance(work, Job)):
        for ref in filter(None, (job.run.student, job.run.teacher)):
            pair = (ref.path, job.task.full_name, "words" in job.method.needs)
            if pair in checked:
                continue
            checked.add(pair)
            backbone = models.pretrained(ref)
            if "words" in job.method.needs:
                prompt_model(backbone, job.task)
            if backbone.places < job.task.max_length:
                raise BenchError(
                    f"{job.task.full_name} reads up to {job.task.max_length} tokens, and this model holds "
                    f"{backbone.places}",
                    where=f"{job.task.file} [{job.task.name}] max_length, and {ref.path}",
                    fix="another model; cutting the texts shorter would be another task",
                )
        own = (
            job.method.name,
            job.method.file,
            job.task.full_name,
            job.run.student,
            job.run.teacher,
            repr(job.run.settings),
        )
        if job.method.checks and own not in checked:
            checked.add(own)
            ask_method(job, models)
    for work in works:
        if isinstance(work, Preparation) and work.method.prepare_checks:
            ask_preparation(work, models)


def ask_method(job: Job, models: Models) -> None:
    """Let a method, and each step of a pipeline, hold its task, settings and models against each other.

    Raises:
        BenchError: what it refuses, or a check that breaks down.
    """
    student, teacher = (None if ref is None else models.pretrained(ref) for ref in (job.run.student, job.run.teacher))
    for method in job.method.steps or (job.method,):
        if not method.checks:
            continue
        settings = {**method.settings, **settings_of(method, job.method, job.run.settings)}
        settings.pop("teacher", None)  # who trains it; a check is given the teacher's model under this name
        try:
            method.module().check(job.task, student, teacher, **settings)
        except BenchError as error:
            error.where = error.where or f"{label(job.method.name, job.run.settings)} on {job.task.full_name}"
            raise
        except Exception as error:
            raise BenchError(
                f"the check of method '{method.name}' broke down: {type(error).__name__}: {error}",
                where=str(method.file),
            ) from error


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
        raise BenchError(f"unknown device '{name}'", allowed="auto, cpu, cuda, cuda:0", fix="--device auto") from error
    count = torch.cuda.device_count()
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= count):
        raise BenchError(f"there is no device '{name}' here", allowed=["auto", "cpu"], fix="bench doctor shows devices")
    return name


def _in_processes(
    stage: Sequence[Work],
    store: Store,
    workers: int,
    device: str,
    threads: int,
    on_done: OnDone,
) -> int:
    waiting, failed = list(stage), 0
    deaths: dict[str, int] = {}
    while waiting:
        done: set[str] = set()
        suspects = [work for work in waiting if work.key in deaths]
        batch = suspects or waiting
        at_once = 1 if suspects else min(workers, len(batch))  # tried again alone, the one that kills shows
        pool = ProcessPoolExecutor(
            at_once,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(device, threads),
        )
        try:
            futures = {pool.submit(_carry_out, work, store): work for work in batch}
            for future in as_completed(futures):
                outcome = _result(future)
                if outcome is not None:
                    done.add(futures[future].key)
                    failed += outcome.failed
                    on_done(futures[future], outcome)
        except BaseException:
            _stop(pool)
            raise
        pool.shutdown()
        waiting = [work for work in waiting if work.key not in done]
        for work in [work for work in batch if work.key not in done][:workers]:  # a worker died: one of these did it
            deaths[work.key] = deaths.get(work.key, 0) + 1
            if deaths[work.key] == ATTEMPTS:
                outcome = _died(work, store, device, threads)
                failed += 1
                on_done(work, outcome)
        waiting = [work for work in waiting if deaths.get(work.key, 0) < ATTEMPTS]
    return failed


def _died(work: Work, store: Store, device: str, threads: int) -> Outcome:
    reason = "its worker process died, twice (out of memory?)"
    if not isinstance(work, Job):
        return Outcome(problem=reason)
    record = failure(work, reason, device, threads)
    store.save(record, None)
    return Outcome(record)


def _result(future: Future[Outcome]) -> Outcome | None:
    """Return a finished piece of work's outcome, or None if its worker process died."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers; a write in hand is finished first (the store defers signals while it writes)."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    for process in processes:
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)


def _start(device: str, threads: int) -> None:
    """Get a process ready: threads, determinism, an empty cache of models."""
    import torch
    from transformers.utils import logging

    from fewbench.parts.kit import Models

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and ends its workers itself
        signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    _worker.update(models=Models(torch.device(device)), threads=threads)


def _end_with(parent: Any) -> None:
    """End this worker when its parent is gone (killed, say): nobody would collect its results."""
    parent.join()
    os._exit(1)


def _carry_out(work: Work, store: Store) -> Outcome:
    models, threads = _worker["models"], _worker["threads"]
    if not isinstance(work, Job):
        return Outcome(problem=prepare(work, models, store.artifacts))
    record, predictions = carry_out(work, models, threads, store.artifacts)
    try:
        store.save(record, predictions)
    except StoreUnwritable:
        raise
    except BenchError as error:  # the record holds what cannot be stored, a NaN say: that is this run's failure
        record = failure(work, str(error), models.device.type, threads)
        store.save(record, None)
    return Outcome(record)
