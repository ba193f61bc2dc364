"""Keep the checksums of a data folder's files in `<data>/<path>/checksums.json`.

A file's entry is written before the file, so that a crash between the two leaves a file that is
known to be missing, never one without an entry.
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
    """The state of a file when it was written: checksum, size, rows, origin and date."""

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
    """Return the key of a file in `checksums.json`: its path within the data set's folder."""
    return "/".join(filter(None, [source.config, name]))


def sums_file(source: Source, root: Path) -> Path:
    """Return the path of a data set's `checksums.json`."""
    return root / source.path / SUMS


def read_sums(file: Path) -> dict[str, ManifestEntry]:
    """Read the entries of a data set's files; none if there is no `checksums.json`.

    Raises:
        DataError: the file is damaged.
    """
    if not file.is_file():
        return {}
    try:
        entries = parse_json(read_bytes(file))["files"]
        return {name: ManifestEntry(**entry) for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"this file of checksums is damaged: {error}"
        fix = "remove it (the data stay, but their checksums are lost)"
        raise DataError(problem, where=str(file), fix=fix) from error


def check_known(task: Task, file: Path, root: Path, sha256: str) -> None:
    """Check a file against its entry and the task's pinned revision; one without entry passes.

    Args:
        task: its source in use is the file's.
        file: the file.
        root: the data folder of the file.
        sha256: of the file's bytes.

    Raises:
        DataError: the checksum or the revision differs.
    """
    source = task.source
    entry = read_sums(sums_file(source, root)).get(key_of(source, file.name))
    if entry is None:
        return
    if error := changed(task, file, entry, sha256) or moved(task, file, entry):
        raise error


def changed(task: Task, file: Path, entry: ManifestEntry, sha256: str) -> DataError | None:
    """Return an error if a file has changed since it was written."""
    if entry.sha256 == sha256:
        return None
    size = file.stat().st_size
    change = "cut short" if size < entry.bytes else "changed"
    command = "fetch" if entry.origin == "hub" else "import FOLDER --task"
    return DataError(
        f"this file was {change} since it was written on {entry.date}: "
        f"{size} bytes, sha256 {sha256}",
        where=str(file),
        allowed=f"{entry.bytes} bytes, sha256 {entry.sha256}",
        fix=f"bench data {command} {task.full_name} --force",
    )


def moved(task: Task, file: Path, entry: ManifestEntry) -> DataError | None:
    """Return an error if a file was fetched at another revision than the task pins."""
    pinned = task.source.revision
    if entry.revision in (None, pinned):
        return None
    problem = f"{task.full_name}: fetched at revision {entry.revision}, but the task pins {pinned}"
    return DataError(problem, where=str(file), fix=f"bench data fetch {task.full_name}")


def as_bytes(entries: Mapping[str, ManifestEntry]) -> bytes:
    """Serialise the entries of `checksums.json`."""
    content = {"files": {name: asdict(entry) for name, entry in sorted(entries.items())}}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def write(file: Path, raw: bytes) -> None:
    """Replace a file's contents atomically.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        write_whole(file, raw)
    except OSError as error:
        problem = f"this file cannot be written: {error.strerror}"
        raise DataError(problem, where=str(file)) from error


def entry_of(
    raw: bytes, rows: int, origin: Literal["hub", "import"], revision: str | None
) -> ManifestEntry:
    """Build the entry of a file that is being written now."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return ManifestEntry(hashlib.sha256(raw).hexdigest(), len(raw), rows, origin, revision, now)


def refuse_outside(root: Path, file: Path) -> None:
    """Check that a file lies in the data folder, whatever links or `..` its path has.

    Raises:
        DataError: it lies outside.
    """
    folder = file.parent.resolve()
    if not folder.is_relative_to(root.resolve()):
        problem = f"this file would be written outside the data folder: {folder}"
        fix = "replace the link within the data folder by a real folder"
        raise DataError(problem, where=str(file), fix=fix)


def write_listed(
    root: Path, sums: Path, entries: Mapping[str, ManifestEntry], files: Mapping[Path, bytes]
) -> None:
    """Write the entries and then the files of one data set: all of them, or none.

    If one cannot be written, all are restored. Signals, and other processes that write to the data
    set, wait until the end.

    Raises:
        DataError: a file lies outside the data folder or cannot be written, or `checksums.json` is
            damaged.
    """
    for file in (sums, *files):
        refuse_outside(root, file)
    with finish_writing(), _lock(sums.parent):
        old_entries = read_sums(sums)
        new_entries = {**old_entries, **entries}
        if not files and new_entries == old_entries:
            return
        contents = {sums: as_bytes(new_entries), **files}
        backups = {file: read_bytes(file) if file.is_file() else None for file in contents}
        begun: list[Path] = []
        try:
            for file, raw in contents.items():
                _remove_temporary(file)
                begun.append(file)
                write(file, raw)
        except BaseException:
            for file in reversed(begun):
                _restore(file, backups[file])
            raise


def _remove_temporary(file: Path) -> None:
    """Remove temporary files that killed processes have left beside a file."""
    for temporary in file.parent.glob(f".{glob.escape(file.name)}.*{TEMPORARY}"):
        remove(temporary)


def _restore(file: Path, old: bytes | None) -> None:
    if old is None:
        remove(file)
    elif not holds(file, old):
        with contextlib.suppress(BenchError):  # the first error is the one to report
            write(file, old)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Create a folder and hold a lock on it, so that only one process at a time writes there."""
    try:
        make_folder(folder)
    except OSError as error:
        problem = f"this folder cannot be created: {error.strerror}"
        raise DataError(problem, where=str(folder)) from error
    if os.name == "nt":  # Windows has no locks of this kind
        yield
        return
    import fcntl

    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
