"""What tables need of a store's records, kept so that a hundred thousand files need not be opened
(decision 017).

An index is a copy that may be deleted at any time, and is never believed over the files: an entry
counts only while its record's file has the size, times and inode that it had when it was read and
its checksum verified. Copied elsewhere, a file has another inode and time of change, so that an
index that came with a folder says nothing. Damaged records have no entry and are read, and
reported, each time.

There is one file for each folder below `runs/`, written whole, so that of several writers the last
one's stands.
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
from pathlib import Path
from typing import Any, get_args, get_type_hints

from fewbench.io.atomic import write_whole
from fewbench.store.parts import RunTiming
from fewbench.store.record import Record
from fewbench.types import Run

FOLDER = ".index"
LEAST = 100
"""Changes in a folder below `runs/` that make its index be written anew; fewer are read from their
files each time.
"""

YOUNG_NS = 2_000_000_000
"""A file changed so lately may change again within one tick of its file system's clock: it gets no
entry yet.
"""

_TAG = ""

Placed = tuple[str, Record]
"""A record's file, as text, and the record reduced."""

Entries = dict[str, tuple[str | None, Record]]
"""By a record's path below `runs/`: its file's stamp, or None if it is never to be believed, and
the record reduced.
"""


def brief(record: Record) -> Record:
    """Return a record without what is long and no table shows: trials, warnings, and details but of
    its teacher.
    """
    taught = record.details.get("teacher")
    return replace(
        record,
        details={} if taught is None else {"teacher": taught},
        warnings=(),
        selection=replace(record.selection, trials=None),
        environment=replace(record.environment, load=None),
        timing=RunTiming(
            total_seconds=record.timing.total_seconds, peak_memory_mib=record.timing.peak_memory_mib
        ),
    )


def summaries(
    root: Path, files: Iterable[str], read: Callable[[str], Record | None]
) -> Iterator[Placed]:
    """Yield records reduced (`brief`) and their files, from the index where it is of the files as
    they are.

    Args:
        root: the results folder.
        files: of records below `<root>/runs`, sorted.
        read: returns the record in a file, or None where it is damaged or gone.
    """
    runs = len(os.fspath(root / "runs")) + 1
    for top, group in groupby(files, lambda file: file[runs:].partition(os.sep)[0]):
        yield from _folder(root / FOLDER / _name(top), runs, group, read)


def _name(top: str) -> str:
    """Return the name of the index of a folder below `runs/`."""
    return f"{hashlib.sha256(os.fsencode(top)).hexdigest()[:16]}.json"


def _folder(
    place: Path, runs: int, files: Iterable[str], read: Callable[[str], Record | None]
) -> Iterator[Placed]:
    """Yield the records of a folder, whose index is in `place`; write it anew if much has changed."""
    known, kept, start = _load(place), Entries(), ""
    now, opened, fresh, gone = time.time_ns(), 0, 0, len(known)
    for file in files:
        start, name = file[:runs], file[runs:]
        stamp, entry = _stamp(file, now), known.get(name)
        gone -= entry is not None
        if entry is not None and stamp is not None and entry[0] == stamp:
            kept[name] = entry
        elif (record := read(file)) is not None:
            kept[name] = (stamp, brief(record))
            opened += 1
            fresh += stamp is not None
    if opened + gone >= LEAST and (payload := _packed(kept)) is not None:
        if fresh + gone >= LEAST:
            _save(place, payload)
        kept = _unpacked(payload)  # where values that many share stand once
    yield from ((start + name, record) for name, (_, record) in kept.items())


def _stamp(file: str, now: int) -> str | None:
    """Return what a file is while it is the same; None for what is no plain file, or was changed
    just now.

    Args:
        file: of a record.
        now: in nanoseconds, at or before the call.
    """
    try:
        found = os.lstat(file)
    except OSError:
        return None
    changed = max(found.st_mtime_ns, found.st_ctime_ns)
    if now - changed < YOUNG_NS or not stat.S_ISREG(found.st_mode):
        return None
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _load(place: Path) -> Entries:
    """Return an index's entries; none if it is not there, damaged, or made by other code."""
    try:
        digest, _, text = place.read_bytes().partition(b"\n")
        if hashlib.sha256(text).hexdigest().encode() != digest:
            return {}
        payload = json.loads(text)
        return _unpacked(payload) if payload["maker"] == _maker() else {}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def _save(place: Path, payload: Mapping[str, Any]) -> None:
    """Write an index. A folder that cannot be written to has none."""
    try:
        text = json.dumps(payload, separators=(",", ":")).encode()
        place.parent.mkdir(exist_ok=True)
        ignored = place.parent / ".gitignore"
        if not ignored.exists():
            write_whole(ignored, b"*\n")
        write_whole(place, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    except (OSError, ValueError, TypeError):
        return


def _packed(entries: Entries) -> dict[str, Any] | None:
    """Return what an index holds, as JSON types; None where records hold what it cannot."""
    records = [record for _, record in entries.values()]
    try:
        return {
            "maker": _maker(),
            "names": list(entries),
            "stamps": [stamp for stamp, _ in entries.values()],
            "run": _columns(Run, [record.run for record in records]),
            "record": _columns(Record, records, without="run"),
        }
    except (ValueError, TypeError):
        return None


def _unpacked(payload: Mapping[str, Any]) -> Entries:
    """Return the entries of an index; raises whatever its being damaged brings about."""
    runs = _objects(Run, payload["run"])
    records = _objects(Record, {**payload["record"], "run": {"flat": True, "values": runs}})
    return dict(zip(payload["names"], zip(payload["stamps"], records, strict=True), strict=True))


def _columns(kind: type, objects: Sequence[Any], without: str = "") -> dict[str, Any]:
    """Return the fields of some objects of one class, each as a column."""
    names = [field.name for field in fields(kind) if field.name != without]
    return {name: _column([getattr(one, name) for one in objects]) for name in names}


def _column(values: Sequence[Any]) -> dict[str, Any]:
    """Return a column of JSON; values that many share stand in it once, and what all share has no
    numbers.
    """
    plain = [_plain(value) for value in values]
    texts = [json.dumps(value, sort_keys=True) for value in plain]
    distinct = dict(zip(texts, plain, strict=True))
    flat = not any(f'"{_TAG}":' in text for text in distinct)
    if 2 * len(distinct) > len(values):
        return {"flat": flat, "values": plain}
    column: dict[str, Any] = {"flat": flat, "values": list(distinct.values())}
    if len(distinct) == 1:
        return {**column, "times": len(values)}
    numbers = {text: number for number, text in enumerate(distinct)}
    return {**column, "at": [numbers[text] for text in texts]}


def _objects(kind: Any, columns: Mapping[str, Any]) -> list[Any]:
    """Return the objects that columns hold."""
    whole = [_values(columns[field.name]) for field in fields(kind)]
    return [kind(*row) for row in zip(*whole, strict=True)]


def _values(column: Mapping[str, Any]) -> list[Any]:
    values: list[Any] = column["values"]
    if not column["flat"]:
        values = [_back(value) for value in values]
    if "times" in column:
        return values * int(column["times"])
    return [values[number] for number in column["at"]] if "at" in column else values


def _plain(value: Any) -> Any:
    """Return JSON of a value; a tuple and a dataclass are tables that name their class.

    Raises:
        ValueError: a table that could be taken for one of these.
    """
    if isinstance(value, tuple):
        return {_TAG: "tuple", "of": [_plain(one) for one in value]}
    if is_dataclass(value):
        return {
            _TAG: type(value).__name__,
            "of": [_plain(getattr(value, field.name)) for field in fields(value)],
        }
    if isinstance(value, Mapping):
        if _TAG in value:
            raise ValueError("a name that is empty")
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _back(value: Any) -> Any:
    if isinstance(value, list):
        return [_back(one) for one in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {name: _back(one) for name, one in value.items()}
    items = [_back(one) for one in value["of"]]
    return tuple(items) if value[_TAG] == "tuple" else _classes()[value[_TAG]](*items)


@lru_cache
def _classes() -> Mapping[str, Any]:
    """Return the dataclasses that a record is made of, by name: nothing else is ever made of an
    index.
    """
    found: dict[str, Any] = {}
    todo: list[Any] = [Record]
    while todo:
        kind = todo.pop()
        if is_dataclass(kind) and isinstance(kind, type) and kind.__name__ not in found:
            found[kind.__name__] = kind
            hints = get_type_hints(kind).values()
            todo += [part for hint in hints for part in (hint, *get_args(hint))]
    return found


@lru_cache
def _maker() -> str:
    """Return what stands for the code that makes entries: another makes the index anew."""
    modules = {
        "fewbench.store.index",
        "fewbench.io.checked_json",
        *(kind.__module__ for kind in _classes().values()),
    }
    digest = hashlib.sha256()
    for name in sorted(modules):
        with contextlib.suppress(OSError):
            digest.update(Path(str(sys.modules[name].__file__)).read_bytes())
    return digest.hexdigest()
