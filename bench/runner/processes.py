"""Carry out works in processes of their own, several at a time; report answers and deaths.

While it runs, a process tells of its progress by a second pipe: lines of JSON, which may get lost.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from fewbench.io.atomic import finish_writing
from fewbench.io.files import parse_json
from fewbench.runner.faults import native_trace
from fewbench.runner.jobs import Job, Preparation
from fewbench.runner.preflight import Checks
from fewbench.runner.starting import Start, begin
from fewbench.store.artifacts import Artifacts
from fewbench.store.progress import Progress, progress_from

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
"""Modules that the server imports once, for all processes; missing ones do no harm."""

GRACE = 5.0
"""Seconds between asking a process to end and killing it."""

TRIES = 10
"""How often a start is tried: a method may have killed the server, and another one soon comes."""

LONGEST = 1 << 30
"""The largest answer that is read, in bytes."""

LONGEST_LINE = 1 << 16
"""The most bytes of progress that are read at once, and kept of a line without an end."""

W = TypeVar("W", bound=Job | Preparation | Checks)


class WorkConditions(NamedTuple):
    """The conditions under which works are carried out.

    Args:
        threads: torch's, in each process.
        artifacts: where preparations and models are stored.
        timeout: seconds that each work may take; None for no limit.
    """

    threads: int
    artifacts: Artifacts | None = None
    timeout: float | None = None


class End(NamedTuple):
    """The end of a work: its answer, or the death of its process.

    `death` is the cause, `trace` the place in the code. `killed` is True where the kernel may have
    done it, for lack of memory. `device` is where it ran.
    """

    answer: bytes = b""
    death: str | None = None
    killed: bool = False
    trace: str | None = None
    device: str = "cpu"


@dataclass(eq=False)
class _Child(Generic[W]):
    work: W
    device: str
    process: Any
    pipe: connection.Connection
    told: connection.Connection
    due: float | None
    content: bytearray = field(default_factory=bytearray)
    line: bytes = b""
    progress: Progress | None = None
    verdict: str | None = None
    """The reason why the parent has ended it, if it has."""


def get_ready() -> BaseContext:
    """Start the server of processes, which loads the libraries, unless it is running."""
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
    """Carry out some works on the CPU, at most `workers` at a time, and yield each as it ends.

    Close the generator to end what is under way.
    """
    waiting = list(reversed(works))
    with Pool[W](conditions, {"cpu": workers}) as pool:
        while waiting or pool.running:
            while waiting and pool.has_room:
                pool.start(waiting.pop())
            yield from pool.ended()


class Pool(Generic[W]):
    """Processes that carry out works; leaving its block ends those that are under way.

    Args:
        conditions: of all works.
        rooms: the number of processes that each device takes at a time.
        on_progress: called with what a process tells of its work.
    """

    def __init__(
        self,
        conditions: WorkConditions,
        rooms: Mapping[str, int],
        on_progress: Callable[[W, Progress], None] = lambda work, progress: None,
    ) -> None:
        self._context = get_ready()
        self._conditions, self._rooms = conditions, rooms
        self._on_progress = on_progress
        self._children: list[_Child[W]] = []

    def __enter__(self) -> Pool[W]:
        return self

    def __exit__(self, *error: object) -> None:
        _stop(self._children)

    @property
    def running(self) -> int:
        """The number of works under way."""
        return len(self._children)

    @property
    def has_room(self) -> bool:
        """True if another work may be started."""
        return self.running < sum(self._rooms.values())

    def start(self, work: W) -> None:
        """Start a work, on the device that has the most room."""
        used = Counter(child.device for child in self._children)
        device = max(self._rooms, key=lambda name: self._rooms[name] - used[name])
        for left in reversed(range(TRIES)):
            try:
                # An interrupt in between would leave a process that nobody ends.
                with finish_writing():
                    self._children.append(_start(self._context, work, device, self._conditions))
                return
            except (EOFError, OSError):
                if not left:
                    raise
                time.sleep(0.1)

    def ended(self, seconds: float | None = None) -> Generator[tuple[W, End], None, None]:
        """Wait until something happens, at most some seconds, and yield the works that have ended.

        What the others have told of their progress is passed on.
        """
        for child in _ended(self._children, self._conditions, seconds):
            self._children.remove(child)
            yield child.work, _end(child)._replace(device=child.device)
        for child in self._children:
            if child.progress is not None:
                self._on_progress(child.work, child.progress)
                child.progress = None


def _start(context: BaseContext, work: W, device: str, conditions: WorkConditions) -> _Child[W]:
    sent = work.sent() if isinstance(work, Job) else work
    start = Start(
        device,
        conditions.threads,
        dict(os.environ),
        str(Path.cwd()),
        conditions.artifacts,
    )
    reader, writer = context.Pipe(duplex=False)
    told, telling = context.Pipe(duplex=False)
    given = (pickle.dumps(sent), start, writer, telling)
    process = context.Process(target=begin, args=given)  # type: ignore[attr-defined]
    process.start()
    for ours, theirs in ((reader, writer), (told, telling)):
        theirs.close()
        os.set_blocking(ours.fileno(), False)
    due = None if conditions.timeout is None else time.monotonic() + conditions.timeout
    return _Child(work, device, process, reader, told, due)


def _ended(
    running: Sequence[_Child[W]], conditions: WorkConditions, seconds: float | None
) -> list[_Child[W]]:
    """Wait until something happens, read the answers, and return the children that have ended."""
    _wait(running, seconds)
    for child in running:
        _read(child)
        _read_progress(child)
        if child.due is not None and time.monotonic() >= child.due:
            _end_late(child, conditions)
    return [child for child in running if child.process.exitcode is not None]


def _wait(running: Sequence[_Child[W]], seconds: float | None) -> None:
    """Wait until a child writes or ends, its time is over, or some seconds have passed."""
    now = time.monotonic()
    limits = [max(0.0, child.due - now) for child in running if child.due is not None]
    if seconds is not None:
        limits.append(seconds)
    pipes = [pipe for child in running for pipe in (child.pipe, child.told) if not pipe.closed]
    sentinels = [child.process.sentinel for child in running]
    connection.wait([*pipes, *sentinels], min(limits, default=None))


def _end_late(child: _Child[W], conditions: WorkConditions) -> None:
    """Abort a child that has run out of time, which leaves a trace; kill it a while later."""
    if child.verdict is None:
        child.verdict = f"it took longer than {conditions.timeout:g} s (--timeout)"
        child.due = time.monotonic() + GRACE
        _kill(child, signal.SIGABRT)
    else:
        child.due = None
        _kill(child, signal.SIGKILL)


def _read(child: _Child[W]) -> None:
    """Read what a child has written so far, and close its pipe at the end."""
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


def _read_progress(child: _Child[W]) -> None:
    """Read what a child has told of its progress: its last whole line counts."""
    if child.told.closed:
        return
    try:
        piece = os.read(child.told.fileno(), LONGEST_LINE)
    except BlockingIOError:
        return
    if not piece:
        child.told.close()
        return
    *lines, rest = (child.line + piece).split(b"\n")
    child.line = rest[-LONGEST_LINE:]
    for line in reversed(lines):
        try:
            child.progress = progress_from(parse_json(line))
        except ValueError:
            continue
        return


def _end(child: _Child[W]) -> End:
    """Collect a child that has ended, and kill whatever it had started."""
    _kill(child, signal.SIGKILL)
    child.process.join()
    _read(child)
    child.pipe.close()
    child.told.close()
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
        death = f"its process ended with exit status {code} and without an answer"
        return End(death=death, trace=trace)
    name = "a signal" if code > 0 else signal.Signals(-code).name
    killed = code in (-signal.SIGKILL, 255)
    return End(death=f"its process died of {name}", killed=killed, trace=trace)


def _kill(child: _Child[W], number: int) -> None:
    """Send a signal to a child and to all that it has started: they are one process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _stop(running: Sequence[_Child[W]]) -> None:
    """Ask children to end, so that they finish writing files; then kill those that have not."""
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
        child.told.close()
