"""Files that are written whole or not at all, whatever kills the process."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from fewbench.errors import StoreFull, StoreUnwritable
from fewbench.io.files import read_file

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

TEMPORARY = ".tmp"
"""How the name of a file being written ends; it begins with a dot."""


@contextlib.contextmanager
def finish_writing() -> Iterator[None]:
    """Put off SIGINT and SIGTERM that arrive inside until its end. Does nothing outside the main
    thread.

    Masking the signals would not do: they would be handed to another thread, and Python would act
    on them here.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda number, _: arrived.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for late in dict.fromkeys(arrived):
            signal.raise_signal(late)


def write_whole(file: Path, data: bytes) -> bool:
    """Give a file new contents: after a kill or a power cut it holds the old bytes or the new ones.

    Return whether a power cut now would surely leave the new ones: there are folders that cannot be
    synced.

    Raises:
        OSError: it cannot be written; the old bytes stand, and nothing is left behind.
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


def unwritable(file: Path, error: OSError, what: str = "nothing was written") -> StoreUnwritable:
    """Return what a user is told of a file of the store that cannot be written: for lack of space,
    or of a right.
    """
    kind = StoreFull if error.errno in _FULL else StoreUnwritable
    return kind(
        f"{what}: {error.strerror or error}",
        where=str(file),
        fix="free some space, or --results on another disk, then the same command again: finished runs are kept"
        if kind is StoreFull
        else "see who may write there, or --results FOLDER, then the same command again: finished runs are kept",
    )


def holds(file: Path, data: bytes) -> bool:
    """Whether a file's bytes are these."""
    try:
        return read_file(file, len(data)) == data
    except OSError:
        return False


def remove(file: Path) -> None:
    """Remove a file if it is there and can be removed."""
    with contextlib.suppress(OSError):
        file.unlink()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each entered durably in the one above.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> bool:
    """Make a folder's entries durable, if that can be done: return whether they are. Windows has no
    such call.
    """
    if os.name == "nt":
        return True
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        os.fsync(number)
    except (
        OSError
    ):  # some file systems cannot; what was renamed in the folder is whole all the same
        return False
    finally:
        os.close(number)
    return True
