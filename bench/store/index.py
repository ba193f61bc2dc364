"""An index of a store's records, for tables over a hundred thousand files (decision 017).

It holds of each record what tables need, so that the files need not be opened. It may be deleted at
any time, and the files always win: an entry counts only while its record's file has the size, times
and inode that it had when it was read and its checksum verified. A copied file has another inode
and time of change, so that an index copied with its folder is ignored. Damaged records have no
entry; they are read and reported each time.

There is one index file for each folder below `runs/`. It is written atomically: of several writers
the last one wins. Its first line has the checksums of the others: the second holds what a table of
scores needs (`fewbench.store.seed_runs`), the third the rest of each record's summary.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

from fewbench.io.atomic import write_whole
from fewbench.store.columns import classes, columns, flat, objects
from fewbench.store.parts import RunTiming
from fewbench.store.record import Record
from fewbench.store.seed_runs import SeedRun, SeedRuns, groups_of, seed_run
from fewbench.types import Json, Run

FOLDER = ".index"
LEAST = 100
"""The changes in a folder below `runs/` from which on its index is written again."""

YOUNG_NS = 2_000_000_000
"""A file changed later than this gets no entry: its next change may have the same time stamp."""

SHOWN = frozenset({"teacher", "int8"})
"""The details that tables need."""

T = TypeVar("T")

Placed = tuple[str, Record]
"""A record's file, as text, and its summary."""

Scored = tuple[str, SeedRuns, SeedRun]
"""A record's file, as text, the group that its run belongs to, and the run itself."""

Read = Callable[[str], Record | None]
"""Returns the record in a file, or None where it is damaged or gone."""


class IndexEntry(NamedTuple):
    """A record's summary, and its file's stamp; None if the file must be read again next time."""

    stamp: str | None
    summary: Record


class ScoreEntry(NamedTuple):
    """A run with its group, and its file's stamp as in `IndexEntry`."""

    stamp: str | None
    group: SeedRuns
    run: SeedRun


Entries = dict[str, IndexEntry]
"""Entries by their record's path below `runs/`."""


def summary_of(record: Record) -> Record:
    """Return a record without what no table shows: trials, warnings, and most details."""
    timing = record.timing
    return replace(
        record,
        details={name: value for name, value in record.details.items() if name in SHOWN},
        warnings=(),
        selection=replace(record.selection, trials=None),
        environment=replace(record.environment, load=None),
        timing=RunTiming(
            search_seconds=timing.search_seconds,
            search_processor_seconds=timing.search_processor_seconds,
            total_seconds=timing.total_seconds,
            peak_memory_mib=timing.peak_memory_mib,
            finished=timing.finished,
        ),
    )


def summaries(root: Path, files: Iterable[str], read: Read) -> Iterator[Placed]:
    """Yield the summaries of records and their files, from the index where it is up to date.

    Args:
        root: the results folder.
        files: of records below `<root>/runs`, sorted.
        read: gets the record in a file.
    """
    for index, prefix, group in _by_index(root, files):
        yield from _folder_summaries(index, prefix, group, read)


def scores(root: Path, files: Iterable[str], read: Read) -> Iterator[Scored]:
    """Yield each run with its group, from the index where it is up to date.

    The groups are returned without runs: it is for the caller to add those it wants. The arguments
    are those of `summaries`.
    """
    for index, prefix, group in _by_index(root, files):
        yield from _folder_scores(index, prefix, list(group), read)


def _by_index(root: Path, files: Iterable[str]) -> Iterator[tuple[Path, int, Iterator[str]]]:
    """Yield each index, the length of what stands before a path below `runs/`, and its files."""
    prefix = len(os.fspath(root / "runs")) + 1
    for top, group in groupby(files, lambda file: file[prefix:].partition(os.sep)[0]):
        yield root / FOLDER / _index_name(top), prefix, group


def _index_name(top: str) -> str:
    """Return the file name of the index of a folder below `runs/`."""
    return f"{hashlib.sha256(os.fsencode(top)).hexdigest()[:16]}.json"


def _folder_summaries(
    index: Path, prefix: int, files: Iterable[str], read: Read
) -> Iterator[Placed]:
    """Yield the summaries of a folder; write its index again if much has changed."""
    old = _load(index, 2, _summary_entries)
    entries: Entries = {}
    start = ""
    now = time.time_ns()
    opened = 0
    stamped = 0  # of those opened, the ones that will not be opened again
    gone = len(old)
    for file in files:
        start, name = file[:prefix], file[prefix:]
        stamp = _stamp(file, now)
        entry = old.get(name)
        gone -= entry is not None
        if entry is not None and stamp is not None and entry.stamp == stamp:
            entries[name] = entry
        elif (record := read(file)) is not None:
            entries[name] = IndexEntry(stamp, summary_of(record))
            opened += 1
            stamped += stamp is not None
    if opened + gone >= LEAST and (lines := _pack(entries)) is not None:
        if stamped + gone >= LEAST:
            _save(index, lines)
        entries = _summary_entries(*lines)  # where many records share one value in memory
    yield from ((start + name, entry.summary) for name, entry in entries.items())


def _folder_scores(index: Path, prefix: int, files: list[str], read: Read) -> Iterator[Scored]:
    """Yield the runs of a folder; where much has changed, write its index again first."""
    old = _load(index, 1, _score_entries)
    entries = [_entry_of(file, old.get(file[prefix:])) for file in files]
    gone = len(old.keys() - {file[prefix:] for file in files})
    if entries.count(None) + gone >= LEAST:
        for file, summary in _folder_summaries(index, prefix, files, read):
            yield file, SeedRuns(summary, []), seed_run(summary)
        return
    for file, entry in zip(files, entries, strict=True):
        if entry is not None:
            yield file, entry.group, entry.run
        elif (record := read(file)) is not None:
            yield file, SeedRuns(record, []), seed_run(record)


def _entry_of(file: str, entry: ScoreEntry | None) -> ScoreEntry | None:
    """Return a file's entry if there is one and the file has its stamp still."""
    if entry is None or entry.stamp is None:
        return None
    try:
        return entry if _text(os.lstat(file)) == entry.stamp else None
    except OSError:
        return None


def _stamp(file: str, now: int) -> str | None:
    """Return a text that changes when a file does; None if it is too young, or no plain file.

    Args:
        file: of a record.
        now: in nanoseconds, at or before the call.
    """
    try:
        status = os.lstat(file)
    except OSError:
        return None
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    if now - changed < YOUNG_NS or not stat.S_ISREG(status.st_mode):
        return None
    return _text(status)


def _text(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _load(index: Path, count: int, unpack: Callable[..., dict[str, T]]) -> dict[str, T]:
    """Return an index's entries; none if it is missing, damaged, or made by other code.

    Args:
        index: its file.
        count: how many of its lines to read after the first.
        unpack: makes entries of these.
    """
    try:
        with index.open("rb") as stream:
            digests = stream.readline().split()
            texts = [stream.readline() for _ in range(count)]
        if digests[:count] != list(map(_digest, texts)):
            return {}
        head, *rest = map(json.loads, texts)
        return unpack(head, *rest) if head["maker"] == _maker() else {}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()


def _save(index: Path, lines: Sequence[Json]) -> None:
    """Write an index; do nothing where the folder cannot be written to."""
    try:
        texts = [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines]
        index.parent.mkdir(exist_ok=True)
        ignore_file = index.parent / ".gitignore"
        if not ignore_file.exists():
            write_whole(ignore_file, b"*\n")
        write_whole(index, b" ".join(map(_digest, texts)) + b"\n" + b"".join(texts))
    except (OSError, ValueError, TypeError):
        return


def _pack(entries: Entries) -> tuple[Json, Json] | None:
    """Return the lines of an index; None where a record holds what an index cannot."""
    records = [entry.summary for entry in entries.values()]
    runs = list(map(seed_run, records))
    try:
        groups, of = groups_of(records)
        head = {
            "maker": _maker(),
            "names": list(entries),
            "stamps": [entry.stamp for entry in entries.values()],
            "seeds": [run.seed for run in runs],
            "keys": [run.key for run in runs],
            "scores": [run.score for run in runs],
            "groups": _packed(groups),
            "of": of,
        }
        return head, _packed(records, ("seed", "key"))
    except (ValueError, TypeError):
        return None


def _packed(records: Sequence[Record], without: Sequence[str] = ()) -> Json:
    """Return records as columns, without some fields of their runs."""
    runs = [record.run for record in records]
    return {"run": columns(Run, runs, without), "record": columns(Record, records, ["run"])}


def _unpacked(payload: Json, **known: list[object]) -> list[Record]:
    """Return the records in columns.

    Args:
        payload: made by `_packed`.
        known: the fields of their runs that it lacks.
    """
    given = {name: flat(values) for name, values in known.items()}
    runs = objects(Run, {**payload["run"], **given})
    return objects(Record, {**payload["record"], "run": flat(runs)})


def _summary_entries(head: Json, rest: Json) -> Entries:
    """Return the entries of an index; a damaged one raises any of several errors."""
    records = _unpacked(rest, seed=head["seeds"], key=head["keys"])
    entries = map(IndexEntry, head["stamps"], records)
    return dict(zip(head["names"], entries, strict=True))


def _score_entries(head: Json) -> dict[str, ScoreEntry]:
    """Return the runs of an index; a damaged one raises any of several errors."""
    groups = [SeedRuns(like, []) for like in _unpacked(head["groups"])]
    of = (groups[number] for number in head["of"])
    runs = map(SeedRun, head["seeds"], head["keys"], head["scores"])
    rows = zip(head["stamps"], of, runs, strict=True)
    return dict(zip(head["names"], map(ScoreEntry._make, rows), strict=True))


@lru_cache
def _maker() -> str:
    """Return a hash of the code that makes entries; where it differs, an index is made anew."""
    modules = {kind.__module__ for kind in classes().values()}
    modules |= {f"fewbench.store.{name}" for name in ("index", "columns", "seed_runs")}
    modules.add("fewbench.io.checked_json")
    digest = hashlib.sha256()
    for name in sorted(modules):
        with contextlib.suppress(OSError):
            digest.update(Path(str(sys.modules[name].__file__)).read_bytes())
    return digest.hexdigest()
