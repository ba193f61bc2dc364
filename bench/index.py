"""What tables need of a store's records, kept so that a hundred thousand files need not be opened (decision 017).

An index is a copy that may be deleted at any time, and is never believed over the files: an entry counts only while its
record's file has the size, times and inode that it had when it was read and its checksum verified. Copied elsewhere, a
file has another inode and time of change, so that an index that came with a folder says nothing. Damaged records have
no entry and are read, and reported, each time.

There is one file for each folder below `runs/`, written whole, so that of several writers the last one's stands.
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

from fewbench.durable import write_whole
from fewbench.record import Record
from fewbench.types import Run

FOLDER = ".index"
LEAST = 100
"""Changes in a folder below `runs/` that make its index be written anew; fewer are read from their files each time."""

YOUNG_NS = 2_000_000_000
"""A file changed so lately may change again within one tick of its file system's clock: it gets no entry yet."""

_TIMES = ("total_seconds", "peak_memory_mib")
_TAG = ""

Placed = tuple[Path, Record]
Entries = dict[str, tuple[str, Record]]
"""By a record's path below `runs/`: its file's stamp, and the record reduced."""


def brief(record: Record) -> Record:
    """Return a record without what is long and no table shows: trials, warnings, and details but of its teacher."""
    taught = record.details.get("teacher")
    return replace(
        record,
        details={} if taught is None else {"teacher": taught},
        warnings=(),
        selection={name: value for name, value in record.selection.items() if name != "trials"},
        environment={name: value for name, value in record.environment.items() if name != "load"},
        timing={name: record.timing[name] for name in _TIMES if name in record.timing},
    )


def summaries(root: Path, files: Iterable[Path], read: Callable[[Path], Record | None]) -> Iterator[Placed]:
    """Yield records reduced (`brief`) and their files, from the index where it is of the files as they are.

    Args:
        root: the results folder.
        files: of records below `<root>/runs`, sorted.
        read: returns the record in a file, or None where it is damaged or gone.
    """
    runs = len(os.fspath(root / "runs")) + 1
    for top, group in groupby(files, lambda file: os.fspath(file)[runs:].partition(os.sep)[0]):
        yield from _folder(root, top, runs, group, read)


def _folder(
    root: Path, top: str, runs: int, files: Iterable[Path], read: Callable[[Path], Record | None]
) -> Iterator[Placed]:
    place = root / FOLDER / f"{hashlib.sha256(os.fsencode(top)).hexdigest()[:16]}.json"
    known, kept = _load(place), Entries()
    fresh = 0
    for file in files:
        name = os.fspath(file)[runs:]
        stamp = _stamp(file)
        entry = known.get(name)
        if entry is not None and entry[0] == stamp:
            kept[name] = entry
            yield file, entry[1]
            continue
        record = read(file)
        if record is None:
            continue
        record = brief(record)
        if stamp is not None:
            fresh += 1
            kept[name] = (stamp, record)
        yield file, record
    if fresh + len(known.keys() - kept.keys()) >= LEAST:
        _save(place, kept)


def _stamp(file: Path) -> str | None:
    """Return what a file is while it is the same; None for what is no plain file, or was changed just now."""
    try:
        found = os.lstat(file)
    except OSError:
        return None
    young = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < YOUNG_NS
    if young or not stat.S_ISREG(found.st_mode):
        return None
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _load(place: Path) -> Entries:
    """Return an index's entries; none if it is not there, damaged, or made by other code."""
    try:
        digest, _, text = place.read_bytes().partition(b"\n")
        if hashlib.sha256(text).hexdigest().encode() != digest:
            return {}
        payload = json.loads(text)
        if payload["maker"] != _maker():
            return {}
        runs = _objects(Run, payload["run"])
        records = _objects(Record, {**payload["record"], "run": {"flat": True, "values": runs}})
        return dict(zip(payload["names"], zip(payload["stamps"], records, strict=True), strict=True))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def _save(place: Path, entries: Entries) -> None:
    """Write an index. A folder that cannot be written to has none."""
    records = [record for _, record in entries.values()]
    try:
        payload = {
            "maker": _maker(),
            "names": list(entries),
            "stamps": [stamp for stamp, _ in entries.values()],
            "run": _columns(Run, [record.run for record in records]),
            "record": _columns(Record, records, without="run"),
        }
        text = json.dumps(payload, separators=(",", ":")).encode()
        place.parent.mkdir(exist_ok=True)
        ignored = place.parent / ".gitignore"
        if not ignored.exists():
            write_whole(ignored, b"*\n")
        write_whole(place, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    except (OSError, ValueError, TypeError):
        return


def _columns(kind: type, objects: Sequence[Any], without: str = "") -> dict[str, Any]:
    """Return the fields of some objects of one class, each as a column."""
    names = [field.name for field in fields(kind) if field.name != without]
    return {name: _column([getattr(one, name) for one in objects]) for name in names}


def _column(values: Sequence[Any]) -> dict[str, Any]:
    """Return a column of JSON; values that many share stand in it once."""
    plain = [_plain(value) for value in values]
    texts = [json.dumps(value, sort_keys=True) for value in plain]
    distinct = dict(zip(texts, plain, strict=True))
    flat = not any(f'"{_TAG}":' in text for text in distinct)
    if 2 * len(distinct) > len(values):
        return {"flat": flat, "values": plain}
    numbers = {text: number for number, text in enumerate(distinct)}
    return {"flat": flat, "values": list(distinct.values()), "at": [numbers[text] for text in texts]}


def _objects(kind: Any, columns: Mapping[str, Any]) -> list[Any]:
    """Return the objects that columns hold."""
    whole = []
    for field in fields(kind):
        column = columns[field.name]
        values = column["values"] if column["flat"] else [_back(value) for value in column["values"]]
        whole.append([values[number] for number in column["at"]] if "at" in column else values)
    return [kind(*row) for row in zip(*whole, strict=True)]


def _plain(value: Any) -> Any:
    """Return JSON of a value; a tuple and a dataclass are tables that name their class.

    Raises:
        ValueError: a table that could be taken for one of these.
    """
    if isinstance(value, tuple):
        return {_TAG: "tuple", "of": [_plain(one) for one in value]}
    if is_dataclass(value):
        return {_TAG: type(value).__name__, "of": [_plain(getattr(value, field.name)) for field in fields(value)]}
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
    """Return the dataclasses that a record is made of, by name: nothing else is ever made of an index."""
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
    modules = {"fewbench.index", "fewbench.sealed", *(kind.__module__ for kind in _classes().values())}
    digest = hashlib.sha256()
    for name in sorted(modules):
        with contextlib.suppress(OSError):
            digest.update(Path(str(sys.modules[name].__file__)).read_bytes())
    return digest.hexdigest()
