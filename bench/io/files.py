"""Read files and folders that may be anything: pipes, devices, endless files, circular links.

Nothing here waits for a pipe, opens a device or reads past a limit. JSON that is nested too deeply
is an ordinary error.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

MIB = 2**20
LARGEST_RECORD = 64 * MIB
"""Largest size in bytes of a record, a measurement, or another file a person might have written."""
LARGEST_DATA = 2048 * MIB
"""Largest size in bytes of a data file, of predictions, and of a document in a packed corpus."""


_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NotAFile(OSError):
    """A path that is not a regular file (a pipe, device, folder or broken link), or too large."""


def open_file(file: Path) -> BinaryIO:
    """Open a regular file for reading, following links.

    Raises:
        FileNotFoundError: the path does not exist.
        NotAFile: the path is not a regular file.
        OSError: the file cannot be opened.
    """
    try:
        _expect_file(file.stat())  # some devices act when they are opened
        number = os.open(file, _READ_FLAGS)
    except FileNotFoundError as error:
        if file.is_symlink():
            raise NotAFile(errno.ENOENT, "a broken link") from error
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotAFile(errno.ELOOP, "a circular link") from error
        raise
    stream = os.fdopen(number, "rb")
    try:
        _expect_file(os.fstat(number))  # it may have been replaced meanwhile
    except BaseException:
        stream.close()
        raise
    return stream


def read_file(file: Path, limit: int = LARGEST_RECORD) -> bytes:
    """Return the bytes of a regular file of at most `limit` bytes.

    Raises:
        FileNotFoundError: the path does not exist.
        NotAFile: the path is not a regular file, or the file is larger.
        OSError: the file cannot be read.
    """
    with open_file(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise NotAFile(errno.EFBIG, f"a file of {size} bytes; the limit is {limit}")
        return stream.read(size)


def _expect_file(status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
    raise NotAFile(errno.EINVAL, f"{kind}, not a file")


_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class Folder(NamedTuple):
    """A folder with the sorted names of its subfolders and of all its other entries."""

    path: Path
    folders: list[str]
    files: list[str]


def walk(root: Path, unreadable: Callable[[OSError], None]) -> Iterator[Folder]:
    """Yield a folder and all folders below it, following links, each folder once.

    Links come last: a folder inside `root` is yielded at its real place, and links to it are
    skipped. Nothing is yielded if `root` is not a folder.

    Args:
        root: where to begin.
        unreadable: called with the error of each folder that cannot be read; the error's `filename`
            is its path.
    """
    visited: set[tuple[int, int]] = set()
    pending, linked = [str(root)], list[str]()
    while pending or linked:
        path = pending.pop() if pending else linked.pop(0)
        entries = _new_entries(path, visited, unreadable)
        if entries is None:
            continue
        folders, files = _partition(entries)
        yield Folder(Path(path), [entry.name for entry in folders], files)
        pending += [entry.path for entry in reversed(folders) if not entry.is_symlink()]
        linked += [entry.path for entry in folders if entry.is_symlink()]


def _new_entries(
    path: str, visited: set[tuple[int, int]], unreadable: Callable[[OSError], None]
) -> list[os.DirEntry[str]] | None:
    """List a folder by name, or return None if it was visited before or cannot be read."""
    try:
        status = Path(path).stat()
        with os.scandir(path) as entries:
            by_name = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return None  # not a folder, or another process has just removed it
    except OSError as error:
        unreadable(error)
        return None
    identity = status.st_dev, status.st_ino
    if identity in visited:
        return None
    visited.add(identity)
    return by_name


def _partition(entries: list[os.DirEntry[str]]) -> tuple[list[os.DirEntry[str]], list[str]]:
    """Separate the folders from the names of all other entries."""
    folders, files = list[os.DirEntry[str]](), list[str]()
    for entry in entries:
        if _is_folder(entry):
            folders.append(entry)
        else:
            files.append(entry.name)
    return folders, files


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link, or one through a folder that cannot be read
        return False


def parse_json(text: str | bytes, **options: Any) -> Any:
    """Parse JSON strictly, with finite numbers only; `options` are a `json.JSONDecoder`'s.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, or holds a number that is not finite
            or has too many digits.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        return _decoder(**options).decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@lru_cache(maxsize=16)
def _decoder(**options: Any) -> json.JSONDecoder:
    """Return a strict decoder, made once: that takes longer than to parse a short line."""
    return json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite_float, **options)


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text} is too large")
    return number
