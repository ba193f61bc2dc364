"""Reads files and folders that may be anything: pipes, devices, files without an end, links that
lead in a circle.

Nothing here waits for a pipe or reads a device, and nothing is read past a limit. JSON is taken
apart without a traceback, however deep or long its parts are.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

MIB = 2**20
LARGEST_RECORD = 64 * MIB
"""Bytes that are read at most of a record, a measurement, or another file that a person might have
written.
"""
LARGEST_DATA = 2048 * MIB
"""Likewise of a data file, of predictions, and of a line or a document of a corpus that is
expanded.
"""


class NotAFile(OSError):
    """What stands there is no file to read: a pipe, a device, a folder, a link to nothing, or a
    file too large.
    """


def open_file(file: Path) -> BinaryIO:
    """Open a regular file to read. Links are followed.

    Raises:
        FileNotFoundError: nothing is there.
        NotAFile: what is there is no file.
        OSError: it cannot be opened.
    """
    try:
        _expect_file(file.stat())  # some devices do things when they are opened
        number = os.open(
            file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
    except FileNotFoundError as error:
        if file.is_symlink():
            raise NotAFile(errno.ENOENT, "a link that leads nowhere") from error
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotAFile(errno.ELOOP, "a link that leads in a circle") from error
        raise
    stream = os.fdopen(number, "rb")
    try:
        _expect_file(os.fstat(number))  # another thing may have been put there meanwhile
    except BaseException:
        stream.close()
        raise
    return stream


def read_file(file: Path, limit: int = LARGEST_RECORD) -> bytes:
    """Return the bytes of a regular file of at most `limit` bytes.

    Raises:
        FileNotFoundError: nothing is there.
        NotAFile: what is there is no file, or a larger one.
        OSError: it cannot be read.
    """
    with open_file(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise NotAFile(
                errno.EFBIG, f"a file of {size} bytes, of which at most {limit} are read"
            )
        return stream.read(size)


def _expect_file(status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    kind = next((name for known, name in kinds if known(status.st_mode)), "a device")
    raise NotAFile(errno.EINVAL, f"no file but {kind}")


class Folder(NamedTuple):
    """A folder, and the names of the folders in it and of all else, each sorted."""

    path: Path
    folders: list[str]
    files: list[str]


def walk(root: Path, unreadable: Callable[[OSError], None]) -> Iterator[Folder]:
    """Yield a folder and all below it. Links are followed, and each folder is yielded once, however
    it is reached.

    A folder that really lies below `root` is yielded there, and links that lead to it are passed
    over: links come last. Nothing is yielded where there is no folder.

    Args:
        root: where to begin.
        unreadable: hears of each folder that cannot be read; the error's `filename` is its path.
    """
    seen: set[tuple[int, int]] = set()
    waiting, linked = [str(root)], list[str]()
    while waiting or linked:
        place = waiting.pop() if waiting else linked.pop(0)
        try:
            status = Path(place).stat()
            with os.scandir(place) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue  # there is none, or another process has just removed it
        except OSError as error:
            unreadable(error)
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        folders, files = list[os.DirEntry[str]](), list[str]()
        for entry in entries:
            if _is_folder(entry):
                folders.append(entry)
            else:
                files.append(entry.name)
        yield Folder(Path(place), [entry.name for entry in folders], files)
        waiting += [entry.path for entry in reversed(folders) if not entry.is_symlink()]
        linked += [entry.path for entry in folders if entry.is_symlink()]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle, or through a folder that cannot be read
        return False


def parse_json(text: str | bytes, **options: Any) -> Any:
    """Return what a JSON text holds, strictly: only finite numbers. `options` are those of
    `json.loads`.

    Raises:
        ValueError: it is no JSON, or nested too deeply, or a number in it is no finite one or too
            long.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, **options)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large a number")
    return number
