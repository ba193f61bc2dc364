"""Find, fetch and verify the files of the data folder, a mirror of the hub.

The path of a file is `<data>/<path>/<config>/<split>.<ext>`. `fewbench.data.manifest` keeps its
checksum.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from fewbench.data.hub import load_split, place_of
from fewbench.data.manifest import (
    ManifestEntry,
    changed,
    entry_of,
    folder_of,
    key_of,
    moved,
    read_sums,
    refuse_outside,
    sums_file,
    write_listed,
)
from fewbench.data.reader import check_rows, files_of, parse, read_file, shards_of
from fewbench.errors import BenchError, DataError
from fewbench.io.jsonl import read_bytes
from fewbench.types import Json, Task

FETCHED = ".jsonl"
"""The extension of fetched files."""


class SplitPlace(NamedTuple):
    """The place of a split of a task's source in the data folder.

    `name` is the path within the data folder, without extension. `files` are the existing files, of
    which there should be at most one. `entry` is the entry of this file, or of a file that is
    `missing`.
    """

    task: Task
    split: str
    name: str
    files: tuple[Path, ...] = ()
    entry: ManifestEntry | None = None
    missing: str = ""

    @property
    def shown(self) -> str:
        """The path within the data folder of the file, or of the one that would be fetched."""
        root = self.task.source.root
        extension = self.files[0].suffix if self.files else FETCHED
        path = f"{self.name}{extension}"
        return f"{root.name}/{path}" if root else path

    @property
    def key(self) -> tuple[str, str]:
        """The identity of the place: tasks may share a file."""
        return str(self.task.source.root or ""), self.name


class Checked(NamedTuple):
    """The result of checking a file: an error, or its rows; `known` if it has an entry."""

    file: str
    rows: int | None
    known: bool
    error: BenchError | None


def places(task: Task, data: Path | None) -> list[SplitPlace]:
    """List the places of the splits of a task's source in use."""
    source = task.source
    root = source.root or data
    if root is None:
        return [SplitPlace(task, split, place_of(source, split)) for split in source.splits]
    sums = read_sums(sums_file(source, root))
    return [_place(task, split, root, sums) for split in source.splits]


def _place(task: Task, split: str, root: Path, sums: Mapping[str, ManifestEntry]) -> SplitPlace:
    source = task.source
    files = tuple(files_of(folder_of(source, root), split))
    name = place_of(source, split)
    if files:
        keys = {key_of(source, file.name) for file in files}
        entry = next((sums[key] for key in sums if key in keys), None)
        return SplitPlace(task, split, name, files, entry)
    for key, entry in sums.items():
        stem = key[: -len(Path(key).suffix)]
        if stem == key_of(source, split):
            return SplitPlace(task, split, name, (), entry, missing=key)
    return SplitPlace(task, split, name)


def fetch(
    place: SplitPlace,
    data: Path,
    *,
    force: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> Literal["fetched", "there"]:
    """Fetch a split from the hub, unless its file exists and is intact.

    Args:
        place: the split's place.
        data: the data folder.
        force: replace a file that was changed or not fetched.
        notify: called with a message before a download.

    Raises:
        NeedsNetwork: the hub cannot be reached.
        DataError: the source is not on the hub, a file that was changed or not fetched is in the
            way, or a row does not fit the task.
    """
    task, source = place.task, place.task.source
    if not source.hub or source.root is not None:
        if place.files:
            return "there"
        raise _not_on_hub(place)
    file = folder_of(source, data) / f"{place.split}{FETCHED}"
    if _is_current(place, file, force):
        return "there"
    refuse_outside(data, file)
    notify(f"fetching {place.shown}")
    raw = _json_lines(place, load_split(source, place.split))
    rows = parse(source, raw, file)
    check_rows(task, place.split, rows, place.shown)
    entry = entry_of(raw, len(rows), "hub", source.revision)
    write_listed(data, sums_file(source, data), {key_of(source, file.name): entry}, {file: raw})
    return "fetched"


def _not_on_hub(place: SplitPlace) -> DataError:
    task = place.task
    if task.source.root:
        fix = "put the file there"
    else:
        fix = f"bench data import FOLDER --task {task.full_name} --data DIR"
    others = [f"{task.name}@{other.name}" for other in task.sources[1:] if other.hub]
    return DataError(
        f"{task.full_name}: {place.shown} is not on the hub and has to be imported by hand",
        allowed=f"from the hub: {', '.join(others)}" if others else None,
        fix=fix,
    )


def _is_current(place: SplitPlace, file: Path, force: bool) -> bool:
    """Return True if the file is intact and of the pinned revision.

    Raises:
        DataError: a file is in the way that was changed or not fetched, unless `force` can replace
            it.
    """
    if len(place.files) > 1:
        raise _in_the_way(place)
    existing = place.files[0] if place.files else file
    if not os.path.lexists(existing):
        return False
    if place.entry is not None and place.files:
        digest = hashlib.sha256(read_bytes(existing)).hexdigest()
        error = changed(place.task, existing, place.entry, digest)
        if error is None:
            return place.entry.revision in (None, place.task.source.revision)
    else:
        error = _not_fetched(place, existing)
    if not force:
        raise error
    if existing != file:
        raise _in_the_way(place)
    return False


def _not_fetched(place: SplitPlace, file: Path) -> DataError:
    command = f"bench data import {file.parent} --task {place.task.full_name}"
    fix = f"{command} keeps it; --force replaces it"
    return DataError("there is a file that was not fetched", where=str(file), fix=fix)


def _in_the_way(place: SplitPlace) -> DataError:
    names = " and ".join(file.name for file in place.files)
    problem = f"the split '{place.split}' already exists as {names}"
    return DataError(problem, where=place.name, fix="move it away")


def _json_lines(place: SplitPlace, rows: Sequence[Json]) -> bytes:
    """Serialise rows as JSON lines, with the hub's columns."""
    lines: list[str] = []
    try:
        for row in rows:
            lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        return "".join(lines).encode()
    except (TypeError, ValueError) as error:
        where = f"hub: {place.name}@{place.task.source.revision}, row {len(lines) + 1}"
        raise DataError(f"JSON cannot represent this row: {error}", where=where) from error


def verify(asked: Sequence[SplitPlace]) -> Iterator[Checked]:
    """Check the checksum and the rows of every file that exists or should exist.

    A file that several tasks read is checked for each of them, and reported once. One that is
    missing is reported if other files of the task exist.
    """
    by_file: dict[tuple[str, str], list[SplitPlace]] = {}
    started: set[tuple[str, str]] = set()
    for place in asked:
        by_file.setdefault(place.key, []).append(place)
        if place.files or place.entry:
            started.add(_task_and_source(place))
    for users in by_file.values():
        first = users[0]
        if first.files:
            yield _check(users)
        elif not started.isdisjoint(map(_task_and_source, users)):
            yield Checked(first.shown, None, first.entry is not None, _missing(first))


def _task_and_source(place: SplitPlace) -> tuple[str, str]:
    return place.task.name, place.task.source.name


def _missing(place: SplitPlace) -> DataError:
    name = place.task.full_name
    problem = f"{name}: this file is missing, but others of the task exist"
    if place.entry:
        problem += f"; it was written on {place.entry.date} as {place.missing}"
    command = "fetch" if place.task.source.hub else "import FOLDER --task"
    return DataError(problem, fix=f"bench data {command} {name}")


def _check(users: Sequence[SplitPlace]) -> Checked:
    first = users[0]
    known = first.entry is not None
    try:
        rows = _count_rows(users)
    except BenchError as error:
        return Checked(first.shown, None, known, error)
    return Checked(first.shown, rows, known, None)


def _count_rows(users: Sequence[SplitPlace]) -> int:
    """Check a file as each of its users reads it, and count its rows."""
    first = users[0]
    if len(first.files) > 1:
        raise _in_the_way(first)
    if first.entry:
        raw = b"".join(map(read_bytes, shards_of(first.files[0])))
        digest = hashlib.sha256(raw).hexdigest()
        if error := changed(first.task, first.files[0], first.entry, digest):
            raise error
    rows = 0
    for place in users:
        file = place.files[0]
        parsed, _ = read_file(place.task.source, file)
        check_rows(place.task, place.split, parsed, str(file))
        rows = len(parsed)
        if place.entry and (error := moved(place.task, file, place.entry)):
            raise error
    return rows
