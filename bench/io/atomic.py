"""Write files atomically: completely or not at all, whatever kills the process."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fewbench.errors import StoreFull, StoreUnwritable
from fewbench.io.files import read_file

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

TEMPORARY = ".tmp"
"""Suffix of the name of a file that is being written; the name begins with a dot."""


@contextlib.contextmanager
def finish_writing() -> Iterator[None]:
    """Defer SIGINT and SIGTERM to the end of the block; do nothing outside the main thread.

    Masking the signals would not help: they would be delivered to another thread, and Python would
    run their handlers here.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    handlers: dict[int, Any] = {}
    try:
        for number in (int(signal.SIGTERM), int(signal.SIGINT)):
            handlers[number] = signal.signal(number, lambda number, _: arrived.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in dict.fromkeys(arrived):
            signal.raise_signal(number)


def write_whole(file: Path, data: bytes) -> bool:
    """Replace a file's contents atomically: after a crash it holds the old bytes or the new ones.

    Returns:
        True if the new bytes are certain to survive a power cut; some folders cannot be synced.

    Raises:
        OSError: the file cannot be written; the old bytes remain, and no temporary file is left.
    """
    make_folder(file.parent)
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}")
    with finish_writing():
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(file)
        except BaseException:
            remove(temporary)
            raise
        durable = sync_folder(file.parent)
    return durable


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `folder`, to be filled; at the end it takes that name.

    After a crash there is no `folder`, or a whole one. An empty folder of that name is replaced.

    Raises:
        OSError: something cannot be written, or `folder` is there and not empty; nothing is left.
    """
    make_folder(folder.parent)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}")
    try:
        temporary.mkdir()
        yield temporary
        for path in (*temporary.rglob("*"), temporary):
            sync_folder(path)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def unwritable(file: Path, error: OSError, what: str = "nothing was written") -> StoreUnwritable:
    """Return the error for a file of the store that cannot be written, with what to do about it."""
    if error.errno in _FULL:
        kind: type[StoreUnwritable] = StoreFull
        remedy = "free some space, or use --results on another disk"
    else:
        kind = StoreUnwritable
        remedy = "check the folder's permissions, or use --results FOLDER"
    return kind(
        f"{what}: {error.strerror or error}",
        where=str(file),
        fix=f"{remedy}, then repeat the command: finished runs are kept",
    )


def holds(file: Path, data: bytes) -> bool:
    """Return True if the file exists and holds exactly these bytes."""
    try:
        return read_file(file, len(data)) == data
    except OSError:
        return False


def remove(file: Path) -> None:
    """Remove a file; ignore one that does not exist or cannot be removed."""
    with contextlib.suppress(OSError):
        file.unlink()


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, and sync each new entry to disk.

    Raises:
        OSError: a folder cannot be created.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> bool:
    """Sync a folder's entries to disk; return True unless the file system cannot do that."""
    if os.name == "nt":  # Windows has no such call
        return True
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        os.fsync(number)
    except OSError:  # some file systems cannot; a rename in the folder is atomic all the same
        return False
    finally:
        os.close(number)
    return True
