"""Pieces of work in processes of their own, so many at a time: what each answered, or how it died."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from fewbench.io.atomic import finish_writing
from fewbench.runner.faults import native_trace
from fewbench.runner.jobs import Job, Preparation
from fewbench.runner.preflight import Checks
from fewbench.store.artifacts import Artifacts

PRELOADED = (
    "fewbench.runner.child",
    "fewbench.cli",
    "sklearn.metrics",
    "scipy.stats",
    "safetensors.torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.roberta.modeling_roberta",
)
"""What the server imports once, and each process then has; missing ones do no harm."""

GRACE = 5.0
"""Seconds that a process has to end when it is asked to, before it is killed."""

LONGEST = 1 << 30
"""The most bytes that are read of one answer."""

W = TypeVar("W", bound=Job | Preparation | Checks)


class WorkConditions(NamedTuple):
    """How pieces of work are carried out.

    Args:
        device: where.
        threads: torch's, in each process.
        artifacts: where what is built is stored.
        timeout: seconds that each may take; None for as long as it takes.
    """

    device: str
    threads: int
    artifacts: Artifacts | None = None
    timeout: float | None = None


class End(NamedTuple):
    """How a piece of work ended: by its answer, or by the death of its process.

    `death` says of what it died, `killed` whether somebody else may have done it (the kernel, where
    memory is short), `trace` where it was.
    """

    answer: bytes = b""
    death: str | None = None
    killed: bool = False
    trace: str | None = None


@dataclass(eq=False)
class _Child(Generic[W]):
    work: W
    process: Any
    pipe: connection.Connection
    due: float | None
    content: bytearray = field(default_factory=bytearray)
    verdict: str | None = None
    """Why it was ended from here, if it was."""


def get_ready() -> BaseContext:
    """Return where processes come from; the first call starts the server, which loads its libraries
    meanwhile.
    """
    if sys.platform != "linux":  # forking a process that has loaded Apple's frameworks is not safe
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    forkserver.ensure_running()
    return context


def each(
    works: Sequence[W], conditions: WorkConditions, workers: int
) -> Generator[tuple[W, End], None, None]:
    """Carry out some works, at most `workers` at a time, and yield each as it ends.

    Close the generator to end what is under way.
    """
    context = get_ready()
    waiting = list(reversed(works))
    running: list[_Child[W]] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                with (
                    finish_writing()
                ):  # an interrupt in between would leave a process that nobody ends
                    running.append(_start(context, waiting.pop(), conditions))
            for child in _ended(running, conditions):
                running.remove(child)
                yield child.work, _end(child)
    finally:
        _stop(running)


def _start(context: BaseContext, work: W, conditions: WorkConditions) -> _Child[W]:
    from fewbench.runner.child import Start, main

    sent = work.sent() if isinstance(work, Job) else work
    start = Start(
        conditions.device,
        conditions.threads,
        dict(os.environ),
        str(Path.cwd()),
        conditions.artifacts,
    )
    reader, writer = context.Pipe(duplex=False)
    process = _process(context, main, (pickle.dumps(sent), start, writer))
    writer.close()
    os.set_blocking(reader.fileno(), False)
    due = None if conditions.timeout is None else time.monotonic() + conditions.timeout
    return _Child(work, process, reader, due)


def _process(context: BaseContext, target: Callable[..., None], given: tuple[Any, ...]) -> Any:
    """Start a process; the server may be gone, killed by a method, and then there soon is another."""
    for left in reversed(range(10)):
        process = context.Process(target=target, args=given)  # type: ignore[attr-defined]
        try:
            process.start()
            break
        except (EOFError, OSError):
            if not left:
                raise
            time.sleep(0.1)
    return process


def _ended(running: Sequence[_Child[W]], conditions: WorkConditions) -> list[_Child[W]]:
    """Wait until something happens, read what was answered, and return the children that are gone."""
    dues = [child.due for child in running if child.due is not None]
    wait = max(0.0, min(dues) - time.monotonic()) if dues else None
    open_pipes = [child.pipe for child in running if not child.pipe.closed]
    connection.wait([*open_pipes, *(child.process.sentinel for child in running)], wait)
    for child in running:
        _read(child)
        if child.due is not None and time.monotonic() >= child.due:
            _end_late(child, conditions)
    return [child for child in running if child.process.exitcode is not None]


def _end_late(child: _Child[W], conditions: WorkConditions) -> None:
    """Abort a child whose time is over, so that it says where it was; kill it if it is still there
    a while later.
    """
    if child.verdict is None:
        child.verdict = f"it took longer than {conditions.timeout:g} s (--timeout)"
        child.due = time.monotonic() + GRACE
        _kill(child, signal.SIGABRT)
    else:
        child.due = None
        _kill(child, signal.SIGKILL)


def _read(child: _Child[W]) -> None:
    """Read what there is in a child's pipe; close it at its end."""
    if child.pipe.closed:
        return
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(child.pipe.fileno(), 1 << 20):
            child.content += piece
            if len(child.content) > LONGEST:
                child.verdict = f"it answered more than {LONGEST} bytes"
                _kill(child, signal.SIGKILL)
                break
        child.pipe.close()


def _end(child: _Child[W]) -> End:
    """Collect a child that is gone, and whatever it had started."""
    _kill(child, signal.SIGKILL)
    child.process.join()
    _read(child)
    child.pipe.close()
    code = child.process.exitcode
    child.process.close()
    answer = bytes(child.content)
    if code == 0 and answer and child.verdict is None:
        return End(answer)
    trace = native_trace(answer)
    if child.verdict is not None:
        return End(death=child.verdict, trace=trace)
    if code == 0:
        return End(death="its process ended without an answer", trace=trace)
    if code > 0 and code != 255:
        return End(
            death=f"its process ended with exit status {code} and without an answer", trace=trace
        )
    name = "a signal" if code > 0 else signal.Signals(-code).name
    return End(
        death=f"its process died of {name}", killed=code in (-signal.SIGKILL, 255), trace=trace
    )


def _kill(child: _Child[W], number: int) -> None:
    """Send a signal to a child and all it has started: they are one process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _stop(running: Sequence[_Child[W]]) -> None:
    """End children: each is asked to, so that a file that it writes is whole, and killed if it does
    not.
    """
    for child in running:
        _kill(child, signal.SIGTERM)
        child.process.terminate()
    until = time.monotonic() + GRACE
    for child in running:
        child.process.join(max(0.0, until - time.monotonic()))
        _kill(child, signal.SIGKILL)
        child.process.kill()
        child.process.join()
        child.pipe.close()
