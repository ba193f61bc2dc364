"""What is known of the files of a data folder: `checksums.json` at `<data>/<path>`, beside a data
set's files.

A file's entry is written before the file: a kill between the two leaves a file that is known to be
missing, never one that nobody knows.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from fewbench.errors import BenchError, DataError
from fewbench.io.atomic import TEMPORARY, finish_writing, holds, make_folder, remove, write_whole
from fewbench.io.files import parse_json
from fewbench.io.jsonl import read_bytes
from fewbench.types import Source, Task

SUMS = "checksums.json"


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What a file was when it was written: its sum and size, its rows, and where it came from,
    when.
    """

    sha256: str
    bytes: int
    rows: int
    origin: Literal["hub", "import"]
    revision: str | None
    date: str


def folder_of(source: Source, root: Path) -> Path:
    """Return the folder of a source's files."""
    return root / source.path / source.config


def key_of(source: Source, name: str) -> str:
    """Return what a file is called in `checksums.json`: its path within the data set's folder."""
    return "/".join(filter(None, [source.config, name]))


def sums_file(source: Source, root: Path) -> Path:
    """Return the file of a data set's known sums."""
    return root / source.path / SUMS


def read_sums(file: Path) -> dict[str, ManifestEntry]:
    """Return what is known of a data set's files; nothing, if there is no file of sums.

    Raises:
        DataError: it is damaged.
    """
    if not file.is_file():
        return {}
    try:
        entries = {
            name: ManifestEntry(**entry)
            for name, entry in parse_json(read_bytes(file))["files"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        fix = "remove it (the data stay; their sums are then unknown)"
        raise DataError(
            f"this file of sums is damaged: {error}", where=str(file), fix=fix
        ) from error
    return entries


def check_known(task: Task, file: Path, root: Path, found: str) -> None:
    """Refuse a file that is not what it was when it was written, or not of the revision that the
    task pins.

    Args:
        task: its source in use is the file's.
        file: the file.
        root: the data folder it stands in.
        found: the sha256 of its bytes.

    Raises:
        DataError: another sum than the known one, or another revision. A file that nothing is known
            of passes.
    """
    source = task.source
    entry = read_sums(sums_file(source, root)).get(key_of(source, file.name))
    if entry is not None and (
        error := changed(task, file, entry, found) or moved(task, file, entry)
    ):
        raise error


def changed(task: Task, file: Path, entry: ManifestEntry, found: str) -> DataError | None:
    """Return what is to say of a file that is not what it was when it was written."""
    if entry.sha256 == found:
        return None
    size = file.stat().st_size
    what = "cut short" if size < entry.bytes else "changed"
    again = f"bench data {'fetch' if entry.origin == 'hub' else 'import FOLDER --task'} {task.full_name}"
    return DataError(
        f"this file was {what} since it was written on {entry.date}: {size} bytes, sha256 {found}",
        where=str(file),
        allowed=f"{entry.bytes} bytes, sha256 {entry.sha256}",
        fix=f"{again} --force",
    )


def moved(task: Task, file: Path, entry: ManifestEntry) -> DataError | None:
    """Return what is to say of a file that was fetched at another revision than the task pins."""
    pinned = task.source.revision
    if entry.revision in (None, pinned):
        return None
    problem = f"{task.full_name}: fetched at revision {entry.revision}, and the task pins {pinned}"
    return DataError(problem, where=str(file), fix=f"bench data fetch {task.full_name}")


def as_bytes(entries: Mapping[str, ManifestEntry]) -> bytes:
    """Return the contents of a file of sums."""
    content = {"files": {name: asdict(entry) for name, entry in sorted(entries.items())}}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def write(file: Path, raw: bytes) -> None:
    """Give a file new contents, whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    try:
        write_whole(file, raw)
    except OSError as error:
        raise DataError(
            f"this file cannot be written: {error.strerror}", where=str(file)
        ) from error


def entry_of(
    raw: bytes, rows: int, origin: Literal["hub", "import"], revision: str | None
) -> ManifestEntry:
    """Return the entry of a file that is written now."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return ManifestEntry(hashlib.sha256(raw).hexdigest(), len(raw), rows, origin, revision, now)


def refuse_outside(root: Path, file: Path) -> None:
    """Refuse a file whose folder leads out of the data folder: a link, or a path with `..` in it.

    Raises:
        DataError: it does.
    """
    leads = file.parent.resolve()
    if not leads.is_relative_to(root.resolve()):
        fix = "give the data folder a folder of its own there, not a link"
        raise DataError(
            f"this file would be written outside the data folder: {leads}", where=str(file), fix=fix
        )


def write_listed(
    root: Path, sums: Path, entries: Mapping[str, ManifestEntry], files: Mapping[Path, bytes]
) -> None:
    """Write files of one data set, and before them what will be known of them: all, or none.

    Where one cannot be written, all are put back as they were. Signals wait until the end, and
    other processes that write files of the data set too.

    Raises:
        DataError: a file would stand outside the data folder, or cannot be written; or the sums are
            damaged.
    """
    for file in (sums, *files):
        refuse_outside(root, file)
    with finish_writing(), _alone(sums.parent):
        before = read_sums(sums)
        writes = {sums: as_bytes({**before, **entries}), **files}
        if not files and {**before, **entries} == before:
            return
        old = {file: read_bytes(file) if file.is_file() else None for file in writes}
        begun: list[Path] = []
        try:
            for file, raw in writes.items():
                _tidy(file)
                begun.append(file)
                write(file, raw)
        except BaseException:
            for file in reversed(begun):
                _put_back(file, old[file])
            raise


def _tidy(file: Path) -> None:
    """Remove what a process that was killed while it wrote a file left beside it."""
    for left in file.parent.glob(f".{glob.escape(file.name)}.*{TEMPORARY}"):
        remove(left)


def _put_back(file: Path, old: bytes | None) -> None:
    if old is None:
        remove(file)
    elif not holds(file, old):
        with contextlib.suppress(BenchError):  # the first error is the one to tell
            write(file, old)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process writes here. Windows has no locks of this kind."""
    try:
        make_folder(folder)
    except OSError as error:
        raise DataError(
            f"this folder cannot be made: {error.strerror}", where=str(folder)
        ) from error
    if os.name == "nt":
        yield
        return
    import fcntl

    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
