"""An index of a store's records, for tables over a hundred thousand files (decision 017).

It holds of each record what tables need, so that the files need not be opened. It may be deleted at
any time, and the files always win: an entry counts only while its record's file has the size, times
and inode that it had when it was read and its checksum verified. A copied file has another inode
and time of change, so that an index copied with its folder is ignored. Damaged records have no
entry; they are read and reported each time.

There is one index file for each folder below `runs/`. It is written atomically: of several writers
the last one wins.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

from fewbench.io.atomic import write_whole
from fewbench.store.parts import RecordPart, RunTiming
from fewbench.store.record import Record
from fewbench.types import Json, Run, Settings

FOLDER = ".index"
LEAST = 100
"""The changes in a folder below `runs/` from which on its index is written again."""

YOUNG_NS = 2_000_000_000
"""A file changed later than this gets no entry: its next change may have the same time stamp."""

_TAG = ""
"""The key under which an object in an index names its class."""

Placed = tuple[str, Record]
"""A record's file, as text, and its summary."""


class IndexEntry(NamedTuple):
    """A record's summary, and its file's stamp; None if the file must be read again next time."""

    stamp: str | None
    summary: Record


Entries = dict[str, IndexEntry]
"""Entries by their record's path below `runs/`."""


def summary_of(record: Record) -> Record:
    """Return a record without what no table shows: trials, warnings, details but its teacher."""
    teacher = record.details.get("teacher")
    timing = record.timing
    return replace(
        record,
        details={} if teacher is None else {"teacher": teacher},
        warnings=(),
        selection=replace(record.selection, trials=None),
        environment=replace(record.environment, load=None),
        timing=RunTiming(
            search_seconds=timing.search_seconds,
            total_seconds=timing.total_seconds,
            peak_memory_mib=timing.peak_memory_mib,
            finished=timing.finished,
        ),
    )


def summaries(
    root: Path, files: Iterable[str], read: Callable[[str], Record | None]
) -> Iterator[Placed]:
    """Yield the summaries of records and their files, from the index where it is up to date.

    Args:
        root: the results folder.
        files: of records below `<root>/runs`, sorted.
        read: returns the record in a file, or None where it is damaged or gone.
    """
    prefix = len(os.fspath(root / "runs")) + 1
    for top, group in groupby(files, lambda file: file[prefix:].partition(os.sep)[0]):
        yield from _folder_summaries(root / FOLDER / _index_name(top), prefix, group, read)


def _index_name(top: str) -> str:
    """Return the file name of the index of a folder below `runs/`."""
    return f"{hashlib.sha256(os.fsencode(top)).hexdigest()[:16]}.json"


def _folder_summaries(
    index: Path, prefix: int, files: Iterable[str], read: Callable[[str], Record | None]
) -> Iterator[Placed]:
    """Yield the summaries of a folder; write its index again if much has changed.

    Args:
        index: the index file of the folder.
        prefix: the length of what stands before a path below `runs/`.
        files: of the folder's records.
        read: as in `summaries`.
    """
    old = _load(index)
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
    if opened + gone >= LEAST and (payload := _pack(entries)) is not None:
        if stamped + gone >= LEAST:
            _save(index, payload)
        entries = _unpack(payload)  # where many records share one value in memory
    yield from ((start + name, entry.summary) for name, entry in entries.items())


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
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _load(index: Path) -> Entries:
    """Return an index's entries; none if it is missing, damaged, or made by other code."""
    try:
        digest, _, text = index.read_bytes().partition(b"\n")
        if hashlib.sha256(text).hexdigest().encode() != digest:
            return {}
        payload = json.loads(text)
        return _unpack(payload) if payload["maker"] == _maker() else {}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def _save(index: Path, payload: Json) -> None:
    """Write an index; do nothing where the folder cannot be written to."""
    try:
        text = json.dumps(payload, separators=(",", ":")).encode()
        index.parent.mkdir(exist_ok=True)
        ignore_file = index.parent / ".gitignore"
        if not ignore_file.exists():
            write_whole(ignore_file, b"*\n")
        write_whole(index, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    except (OSError, ValueError, TypeError):
        return


def _pack(entries: Entries) -> Json | None:
    """Return an index of entries as JSON; None where a record holds what an index cannot."""
    records = [entry.summary for entry in entries.values()]
    try:
        return {
            "maker": _maker(),
            "names": list(entries),
            "stamps": [entry.stamp for entry in entries.values()],
            "run": _columns(Run, [record.run for record in records]),
            "record": _columns(Record, records, without="run"),
        }
    except (ValueError, TypeError):
        return None


def _unpack(payload: Json) -> Entries:
    """Return the entries of an index; a damaged one raises any of several errors."""
    runs = _objects(Run, payload["run"])
    records = _objects(Record, {**payload["record"], "run": {"flat": True, "values": runs}})
    entries = map(IndexEntry, payload["stamps"], records)
    return dict(zip(payload["names"], entries, strict=True))


def _columns(kind: type, objects: Sequence[object], without: str = "") -> Json:
    """Return the fields of objects of one class, each as a column."""
    names = [field.name for field in fields(kind) if field.name != without]
    return {name: _column(list(map(attrgetter(name), objects))) for name in names}


def _column(values: Sequence[object]) -> Json:
    """Return values as a column of JSON.

    Where many objects share values, `values` holds each once, and `at` the number of each object's;
    where all share one, `times` is their count. `flat` is true if the column holds JSON types only.
    """
    plain = [_to_plain(value) for value in values]
    texts = [json.dumps(value, sort_keys=True) for value in plain]
    distinct = dict(zip(texts, plain, strict=True))
    flat = not any(f'"{_TAG}":' in text for text in distinct)
    if 2 * len(distinct) > len(values):
        return {"flat": flat, "values": plain}
    column: Json = {"flat": flat, "values": list(distinct.values())}
    if len(distinct) == 1:
        return {**column, "times": len(values)}
    numbers = {text: number for number, text in enumerate(distinct)}
    return {**column, "at": [numbers[text] for text in texts]}


def _objects(kind: type, columns: Json) -> list[Any]:
    """Return the objects that columns hold."""
    values = [_values(columns[field.name]) for field in fields(kind)]
    return [kind(*row) for row in zip(*values, strict=True)]


def _values(column: Json) -> list[Any]:
    values: list[Any] = column["values"]
    if not column["flat"]:
        values = [_from_plain(value) for value in values]
    if "times" in column:
        return values * int(column["times"])
    return [values[number] for number in column["at"]] if "at" in column else values


def _to_plain(value: Any) -> Any:
    """Return a value as JSON; tuples and dataclasses are objects that name their class.

    Raises:
        ValueError: a mapping that could be taken for one of these.
    """
    if isinstance(value, RecordPart):
        return {**_untagged(value.to_json()), _TAG: type(value).__name__}
    if isinstance(value, tuple):
        return {_TAG: "tuple", "of": [_to_plain(item) for item in value]}
    if is_dataclass(value):
        items = [_to_plain(getattr(value, field.name)) for field in fields(value)]
        return {_TAG: type(value).__name__, "of": items}
    if isinstance(value, Mapping):
        return {name: _to_plain(item) for name, item in _untagged(value).items()}
    return [_to_plain(item) for item in value] if isinstance(value, list) else value


def _untagged(value: Settings) -> Settings:
    if _TAG in value:
        raise ValueError("an empty name")
    return value


def _from_plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.pop(_TAG, None)
    if name is None:
        return {key: _from_plain(item) for key, item in value.items()}
    if name == "tuple":
        return tuple(_from_plain(item) for item in value["of"])
    kind = _classes()[name]
    if issubclass(kind, RecordPart):
        return kind.from_json(value)
    return kind(*map(_from_plain, value["of"]))


@lru_cache
def _classes() -> dict[str, type]:
    """Return the dataclasses of a record by name; an index makes objects of no others."""
    classes: dict[str, type] = {}
    pending: list[Any] = [Record]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and is_dataclass(kind) and kind.__name__ not in classes:
            classes[kind.__name__] = kind
            for hint in get_type_hints(kind).values():
                pending += [hint, *get_args(hint)]
    return classes


@lru_cache
def _maker() -> str:
    """Return a hash of the code that makes entries; where it differs, an index is made anew."""
    modules = {kind.__module__ for kind in _classes().values()}
    modules |= {"fewbench.store.index", "fewbench.io.checked_json"}
    digest = hashlib.sha256()
    for name in sorted(modules):
        with contextlib.suppress(OSError):
            digest.update(Path(str(sys.modules[name].__file__)).read_bytes())
    return digest.hexdigest()
