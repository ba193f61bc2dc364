"""Where in the store what stands: names of folders and files, as paths only.

<root>/runs/<task@source[+template]>/<method>/<student>/k16-s13-<key8>.json
                                             k16-s13-<key8>.<hash8>.safetensors
                                             k16-s13-<key8>.<kind>[-<name>].json
                                             k16-s13-<key8>.<kind>[-<name>].<hash8>.jsonl

The last two are a measurement of the run made after it and what is attached (see
`fewbench.store.measurement`).
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

RECORD, PREDICTIONS = ".json", ".safetensors"
UNDER_WAY = ".jsonl"
"""How the name ends of what a measurement under way has got so far."""
PREFIXES = (8, 16, 32)
"""Digits of the key in a file name: more where another run's file has taken the shorter name."""

OURS = re.compile(
    r"k-?\d+-s-?\d+-[0-9a-f]{8,32}\.[0-9a-f]{8}\.safetensors$|\.k-?\d+-s-?\d+-[0-9a-f]{8,32}\..*\.tmp$"
)
"""The names of predictions and of files being written."""

MEASURED = re.compile(
    r"(?P<stem>k-?\d+-s-?\d+-[0-9a-f]{8,32})\.(?P<what>[a-z][a-z0-9]*(-[a-z0-9-]+)?)"
    r"(\.(?P<hash>[0-9a-f]{8}))?\.(?P<ending>[a-z]+)$"
)
"""The names of measurements (`.json`), of what is attached to them (with a hash), and of what is
under way.
"""

_LONGEST = 80


def folder(runs: Path, run: Run) -> Path:
    """Return where a run's record goes, below the folder `runs`."""
    student = "none" if run.student is None else slug(run.student.name)
    template = f"+{run.template}" if run.template else ""
    return runs / slug(f"{run.task}@{run.source}{template}") / slug(run.method) / student


def names(run: Run) -> list[str]:
    """Return the names a run's record may have, the usual one first."""
    return _names(run, run_key(run))


def _names(run: Run, key: str) -> list[str]:
    return [f"k{run.k}-s{run.seed}-{key[:digits]}{RECORD}" for digits in PREFIXES]


def own(runs: Path, run: Run) -> list[Path]:
    """Return where a run's record stands unless its model goes by another name."""
    return [folder(runs, run) / name for name in names(run)]


def candidates(runs: Path, run: Run) -> Iterator[Path]:
    """Yield where a run's record may stand: in its own folder first, so that others need seldom be
    looked for.

    Then in those of the same weights under another name: a key does not hang on what a model is
    called.
    """
    usual = folder(runs, run)
    called = names(run)
    yield from (usual / name for name in called)
    try:
        others = sorted(
            other for other in usual.parent.iterdir() if other != usual and other.is_dir()
        )
    except OSError:
        return
    yield from (place / name for place in others for name in called)


def belongs(runs: Path, file: Path, record: Record) -> bool:
    """Whether a record, whose key is its run's, stands where it is looked for."""
    run = record.run
    return file.name in _names(run, run.key) and file.parent.parent == folder(runs, run).parent


def beside(file: Path, record: Record) -> Path | None:
    """Return the predictions file of a record that stands in `file`, or None if it has none."""
    if record.predictions is None:
        return None
    return file.with_name(f"{file.stem}.{record.predictions[:8]}{PREDICTIONS}")


def measurement(file: Path, what: str, ending: str = RECORD) -> Path:
    """Return where a measurement of the record in `file` stands, or what belongs to it under
    another ending.
    """
    return file.with_name(f"{file.stem}.{what}{ending}")


def measured(name: str) -> re.Match[str] | None:
    """Return the parts of a name that belongs to a measurement, or None: `stem`, `what`, `hash` (or
    None), `ending`.
    """
    return None if name.endswith(PREDICTIONS) else MEASURED.match(name)


def digits(file: Path) -> str:
    """Return as much of its run's key as a record's file name tells."""
    return file.stem.rpartition("-")[2]


def record_files(runs: Path, unreadable: Callable[[OSError], None]) -> list[Path]:
    """Return all records' files, sorted by path. `unreadable` hears of each folder that cannot be
    read.
    """
    return [Path(name) for name in record_names(runs, unreadable)]


def record_names(runs: Path, unreadable: Callable[[OSError], None]) -> list[str]:
    """Return `record_files` as texts: of a hundred thousand, paths take as long to make as all else
    of a listing.
    """
    found: list[str] = []
    for folder in walk(runs, unreadable):
        place = os.fspath(folder.path) + os.sep
        found += [place + name for name in folder.files if is_record(name)]
    return sorted(found)


def is_record(name: str) -> bool:
    """Whether a record's file may have this name: nothing else of the store has such a one."""
    if not name.endswith(RECORD) or name.startswith("."):
        return False
    return name.count(".") == 1 or not measured(name)


@lru_cache
def slug(name: str) -> str:
    """Return a folder's name for any text: no separators, no leading dot, not too long, the same
    for the same text.

    What had to be altered gets a hash, so that two names seldom share a folder; `owner/model`
    becomes `owner--model`.
    """
    flat = name.replace("/", "--")
    plain = re.sub(r"[^A-Za-z0-9._+@=-]", "_", flat).lstrip(".-").rstrip(".")
    if plain and plain == flat and len(plain) <= _LONGEST:
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: _LONGEST - 9]}-{digest}".lstrip("-")
