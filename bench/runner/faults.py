"""Describe an exception of a method: its reason, and the trace from its author's code on."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

from fewbench.errors import BenchError

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a full or broken disk, which are no failure of a method."""

LINES = 200
"""Lines of a traceback that are stored at most: the first and the last ones."""

_PACKAGE = Path(__file__).resolve().parents[1]
_OURS = str(_PACKAGE / "runner")
_WATCHED = str(_PACKAGE / "runner" / "watched.py")


def reason(error: BaseException) -> str:
    """Say in one line what happened and where; a `BenchError` says it in its own words."""
    from fewbench.nn.memory import FIX, is_lack_of_memory  # torch, which a plan has no need of

    if isinstance(error, BenchError):
        return text_of(error)
    text = f"{type(error).__name__}: {text_of(error)}"
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        text += f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
    return f"memory is too small: {text}; fix: {FIX}" if is_lack_of_memory(error) else text


def text_of(thing: object) -> str:
    """Return an object's text; the `__str__` of a method's own exception may itself fail."""
    try:
        return str(thing)
    except BaseException as error:
        return f"(its own text cannot be had: __str__ raised {type(error).__name__})"


def trace(error: BaseException) -> str:
    """Return an error's traceback, starting at the frame of the method's author.

    Files stand by their names alone, for a record may be sent to others.
    """
    try:
        summary = traceback.TracebackException.from_exception(error)
        for exception in _chain(summary):
            frames = [_short(frame) for frame in _authors(exception.stack)]
            exception.stack = traceback.StackSummary.from_list(frames)
        lines = "".join(summary.format()).splitlines()
    except BaseException as broken:  # whatever __str__, __repr__ or a source file does
        return f"(no traceback can be had: {type(broken).__name__})"
    if len(lines) > LINES:
        half = LINES // 2
        lines = [*lines[:half], f"  … {len(lines) - LINES} lines …", *lines[-half:]]
    return "\n".join(lines)


def native_trace(content: bytes) -> str | None:
    """Return the trace that `faulthandler` wrote of a crash, if it did, the last call first."""
    start = content.find(b"Fatal Python error: ")
    if start < 0:
        return None
    lines: list[str] = []
    for line in content[start:].decode("utf-8", "replace").splitlines():
        file = line.partition('File "')[2].partition('"')[0]
        if file.startswith(_OURS):
            break
        if line.strip() and not line.startswith("Extension modules"):
            lines.append(line.replace(file, _short_name(file)) if file else line)
    return "\n".join(lines[:LINES])


def disk_fault(error: BaseException | None) -> str | None:
    """Return the message of a full or broken disk, if one is behind an error.

    Libraries raise errors of their own in its place.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in DISK:
            file = f": {error.filename}" if error.filename else ""
            return f"{os.strerror(error.errno)}{file}"
        if os.strerror(errno.ENOSPC) in text_of(error):
            return text_of(error)
        error = error.__cause__ or error.__context__
    return None


def _chain(summary: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Yield an exception and those that it was raised from."""
    waiting: list[traceback.TracebackException | None] = [summary]
    while waiting:
        exception = waiting.pop()
        if exception is not None:
            yield exception
            waiting += [exception.__cause__, exception.__context__]


def _authors(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Return the frames after the runner's first ones; all of them if there are no others.

    Those that only watch the training are left out.
    """
    first = next((n for n, frame in enumerate(stack) if not frame.filename.startswith(_OURS)), 0)
    return [frame for frame in list(stack)[first:] if frame.filename != _WATCHED]


def _short(frame: traceback.FrameSummary) -> traceback.FrameSummary:
    """Return a frame with its file's name, or its place among the installed packages."""
    file = _short_name(frame.filename)
    return traceback.FrameSummary(file, frame.lineno, frame.name, line=frame.line)


def _short_name(file: str) -> str:
    _, found, package = file.rpartition("site-packages/")
    return package if found else Path(file).name
