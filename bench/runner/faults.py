"""What is told of an exception that a method let out: its reason, and its traceback from the
author's own frame on.
"""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

from fewbench.errors import BenchError

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Of a disk that is full or broken: no method's failure."""

LINES = 200
"""The most lines of a traceback that are stored: the first and the last ones."""

_PACKAGE = Path(__file__).resolve().parents[1]
_OURS = (str(_PACKAGE / "runner"), str(_PACKAGE / "parts" / "steps.py"))


def reason(error: BaseException) -> str:
    """Return in one line what happened and where; of an error with a message for the user, that."""
    if isinstance(error, BenchError):
        return text_of(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = (
        f" ({frames[-1].filename.rpartition('/')[2]}, line {frames[-1].lineno})" if frames else ""
    )
    return f"{type(error).__name__}: {text_of(error)}{place}"


def text_of(thing: object) -> str:
    """Return a thing's text; a method's own exception may have one that fails."""
    try:
        return str(thing)
    except BaseException as error:
        return f"(its own text cannot be had: __str__ raised {type(error).__name__})"


def trace(error: BaseException) -> str:
    """Return the traceback of an error from the author's own frame on; files by name, for a record
    travels.
    """
    try:
        told = traceback.TracebackException.from_exception(error)
        for one in _chain(told):
            one.stack = traceback.StackSummary.from_list(
                [_short(frame) for frame in _theirs(one.stack)]
            )
        lines = "".join(told.format()).splitlines()
    except BaseException as broken:  # whatever __str__, __repr__ or a source file does
        return f"(no traceback can be had: {type(broken).__name__})"
    if len(lines) > LINES:
        half = LINES // 2
        lines = [*lines[:half], f"  … {len(lines) - LINES} lines …", *lines[-half:]]
    return "\n".join(lines)


def native_trace(content: bytes) -> str | None:
    """Return where a process was that a signal killed, if `faulthandler` wrote that: the last call
    stands first.
    """
    start = content.find(b"Fatal Python error: ")
    if start < 0:
        return None
    kept: list[str] = []
    for line in content[start:].decode("utf-8", "replace").splitlines():
        file = line.partition('File "')[2].partition('"')[0]
        if file.startswith(_OURS):
            break
        if line.strip() and not line.startswith("Extension modules"):
            kept.append(line.replace(file, _short_name(file)) if file else line)
    return "\n".join(kept[:LINES])


def disk_fault(error: BaseException | None) -> str | None:
    """Return what a full or broken disk said, if that is behind an error; libraries put errors of
    their own before.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in DISK:
            return f"{os.strerror(error.errno)}" + (f": {error.filename}" if error.filename else "")
        if os.strerror(errno.ENOSPC) in text_of(error):
            return text_of(error)
        error = error.__cause__ or error.__context__
    return None


def _chain(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    waiting: list[traceback.TracebackException | None] = [told]
    while waiting:
        one = waiting.pop()
        if one is not None:
            yield one
            waiting += [one.__cause__, one.__context__]


def _theirs(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Return the frames after the runner's own first ones; all of them if there are no others."""
    first = next((n for n, frame in enumerate(stack) if not frame.filename.startswith(_OURS)), 0)
    return list(stack)[first:]


def _short(frame: traceback.FrameSummary) -> traceback.FrameSummary:
    """Return a frame whose file stands by its name, or by its place among installed packages."""
    return traceback.FrameSummary(
        _short_name(frame.filename), frame.lineno, frame.name, line=frame.line
    )


def _short_name(file: str) -> str:
    _, found, package = file.rpartition("site-packages/")
    return package if found else Path(file).name
