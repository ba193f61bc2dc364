"""Files that are written whole or not at all, whatever kills the process."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".tmp"
"""How the name of a file being written ends; it begins with a dot."""


@contextlib.contextmanager
def finish_writing() -> Iterator[None]:
    """Put off SIGINT and SIGTERM that arrive inside until its end. Does nothing outside the main thread.

    Masking the signals would not do: they would be handed to another thread, and Python would act on them here.
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


def write_whole(file: Path, data: bytes) -> None:
    """Give a file new contents: after a kill or a power cut it holds the old bytes or the new ones.

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
        sync_folder(file.parent)


def holds(file: Path, data: bytes) -> bool:
    """Whether a file's bytes are these."""
    try:
        return file.read_bytes() == data
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


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable. Windows has no such call."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
