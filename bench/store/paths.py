"""The layout of a store: names of folders and files.

<root>/runs/<task@source[+template]>/<method>/<student>/k16-s13-<key8>.json
                                             k16-s13-<key8>.<hash8>.safetensors
                                             k16-s13-<key8>.<kind>[-<name>].json
                                             k16-s13-<key8>.<kind>[-<name>].<hash8>.jsonl

They are a record, its predictions, a later measurement of the run, and a file attached to the
measurement (see `fewbench.store.measurement`).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from fewbench.io.files import walk
from fewbench.store.record import Record, run_key
from fewbench.types import Run

RECORD = ".json"
PREDICTIONS = ".safetensors"
UNDER_WAY = ".jsonl"
"""The suffix of the items that an unfinished measurement has so far."""
PREFIXES = (8, 16, 32)
"""Digits of the key in a file name: more where another run's file has the shorter name."""

_STEM = r"k(?:-?\d+|full|total-\d+)-s-?\d+-[0-9a-f]{8,32}"
OURS = re.compile(rf"{_STEM}\.[0-9a-f]{{8}}\.safetensors$|\.{_STEM}\..*\.tmp$")
"""The names of predictions and of files that are being written."""

MEASURED = re.compile(
    rf"(?P<stem>{_STEM})\.(?P<what>[a-z][a-z0-9]*(-[a-z0-9-]+)?)"
    r"(\.(?P<hash>[0-9a-f]{8}))?\.(?P<ending>[a-z]+)$"
)
"""The names of measurements (`.json`), their attached files (with a hash), and unfinished ones."""

_LONGEST = 80


def folder(runs: Path, run: Run) -> Path:
    """Return the folder of a run's record, below the folder `runs`."""
    student = "none" if run.student is None else slug(run.student.name)
    template = f"+{run.template}" if run.template else ""
    return _folder(runs, f"{run.task}@{run.source}{template}", run.method, student)


@lru_cache
def _folder(runs: Path, task: str, method: str, student: str) -> Path:
    return runs / slug(task) / slug(method) / student


def names(run: Run) -> list[str]:
    """Return the file names that a run's record may have, the usual one first."""
    return _names(run, run_key(run))


def _names(run: Run, key: str) -> list[str]:
    return [f"k{run.k}-s{run.seed}-{key[:digits]}{RECORD}" for digits in PREFIXES]


def own(runs: Path, run: Run) -> list[Path]:
    """Return the files that may hold a run's record, in its own folder."""
    return [folder(runs, run) / name for name in names(run)]


def candidates(runs: Path, run: Run, key: str | None = None) -> Iterator[Path]:
    """Yield the files that may hold a run's record, those in its own folder first.

    The others are in the folders of other students: the same weights may have another name, of
    which the key is independent. `key` is that of the run, where it has just been computed.
    """
    usual = folder(runs, run)
    file_names = _names(run, key or run_key(run))
    yield from (usual / name for name in file_names)
    try:
        others = sorted(
            other for other in usual.parent.iterdir() if other != usual and other.is_dir()
        )
    except OSError:
        return
    yield from (other / name for other in others for name in file_names)


def belongs(runs: Path, file: Path, record: Record) -> bool:
    """True if a record whose key is right is in a file where it is looked for."""
    run = record.run
    return file.name in _names(run, run.key) and file.parent.parent == folder(runs, run).parent


def beside(file: Path, record: Record) -> Path | None:
    """Return the predictions file of the record in `file`, or None if it has none."""
    if record.predictions is None:
        return None
    return file.with_name(f"{file.stem}.{record.predictions[:8]}{PREDICTIONS}")


def measurement(file: Path, what: str, ending: str = RECORD) -> Path:
    """Return the file of a measurement of the record in `file`, or one with another suffix."""
    return file.with_name(f"{file.stem}.{what}{ending}")


def measured(name: str) -> re.Match[str] | None:
    """Match the name of a measurement's file: `stem`, `what`, `hash` (or None), `ending`."""
    return None if name.endswith(PREDICTIONS) else MEASURED.match(name)


def digits(file: Path) -> str:
    """Return the digits of its run's key in a record's file name."""
    return file.stem.rpartition("-")[2]


def record_files(runs: Path, unreadable: Callable[[OSError], None]) -> list[Path]:
    """Return the files of all records, sorted; call `unreadable` for each unreadable folder."""
    return [Path(name) for name in record_names(runs, unreadable)]


def record_names(runs: Path, unreadable: Callable[[OSError], None]) -> list[str]:
    """Return `record_files` as texts.

    To make a hundred thousand paths takes as long as the rest of a listing.
    """
    files: list[str] = []
    for folder in walk(runs, unreadable):
        prefix = os.fspath(folder.path) + os.sep
        files += [prefix + name for name in folder.files if is_record(name)]
    return sorted(files)


def is_record(name: str) -> bool:
    """True if a file name is one of a record, and of no other file in the store."""
    if not name.endswith(RECORD) or name.startswith("."):
        return False
    return name.count(".") == 1 or not measured(name)


@lru_cache
def slug(name: str) -> str:
    """Turn a text into the name of a folder: no separators, no leading dot, not too long.

    `owner/model` becomes `owner--model`. A text that had to be changed otherwise gets a hash, so
    that two texts seldom share a folder.
    """
    flat = name.replace("/", "--")
    plain = re.sub(r"[^A-Za-z0-9._+@=-]", "_", flat).lstrip(".-").rstrip(".")
    if plain and plain == flat and len(plain) <= _LONGEST:
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: _LONGEST - 9]}-{digest}".lstrip("-")
