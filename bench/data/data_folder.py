"""The data folder as a mirror of the hub: where files stand, fetching them once, and verifying
them.

A file stands at `<data>/<path>/<config>/<split>.<ext>`; `fewbench.data.manifest` says what it was
when it was written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

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
from fewbench.types import Task

FETCHED = ".jsonl"
"""What a fetched file is."""


class SplitPlace(NamedTuple):
    """Where a split of a task's source stands.

    `name` is the path within the data folder, without extension; `files` are those that are there,
    which should be one or none; `entry` is what is known of the one (or of a file that should be
    there and is not: `missing`).
    """

    task: Task
    split: str
    name: str
    files: tuple[Path, ...] = ()
    entry: ManifestEntry | None = None
    missing: str = ""

    @property
    def shown(self) -> str:
        """The file's path within the data folder; where there is none, the name that a fetched file
        would have.
        """
        root = self.task.source.root
        return (
            (f"{root.name}/" if root else "")
            + self.name
            + (self.files[0].suffix if self.files else FETCHED)
        )

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from other places: tasks may share a file."""
        return str(self.task.source.root or ""), self.name


class Checked(NamedTuple):
    """A file that was looked at: what is wrong with it, or how many rows it has and whether its sum
    was known.
    """

    file: str
    rows: int | None
    known: bool
    error: BenchError | None


def places(task: Task, data: Path | None) -> list[SplitPlace]:
    """Return where the splits of a task's source in use stand, and what is there."""
    source = task.source
    root = source.root or data
    if root is None:
        return [SplitPlace(task, split, place_of(source, split)) for split in source.splits]
    sums = read_sums(sums_file(source, root))
    return [_place(task, split, root, sums) for split in source.splits]


def _place(task: Task, split: str, root: Path, sums: Mapping[str, ManifestEntry]) -> SplitPlace:
    source = task.source
    files = tuple(files_of(folder_of(source, root), split))
    names = {key_of(source, file.name): file for file in files}
    listed = next((key for key in sums if key in names), None)
    gone = next((key for key in sums if not files and _stem(key) == key_of(source, split)), None)
    entry = sums[listed] if listed else sums[gone] if gone else None
    return SplitPlace(task, split, place_of(source, split), files, entry, gone or "")


def _stem(key: str) -> str:
    return key[: -len(Path(key).suffix)]


def fetch(
    place: SplitPlace,
    data: Path,
    *,
    force: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> Literal["fetched", "there"]:
    """Fetch a split from the hub, unless it is there as it was written. `notify` hears of a
    download that begins.

    Raises:
        NeedsNetwork: the hub cannot be asked.
        DataError: the source is not on the hub, a file stands there that is not the one known, or
            the rows do not fit.
    """
    task, source = place.task, place.task.source
    if not source.hub or source.root is not None:
        if place.files:
            return "there"
        raise _by_hand(place)
    file = folder_of(source, data) / f"{place.split}{FETCHED}"
    if _is_there(place, file, force):
        return "there"
    refuse_outside(data, file)
    notify(f"fetching {place.shown}")
    raw = _as_lines(place, load_split(source, place.split))
    rows = parse(source, raw, file)
    check_rows(task, place.split, rows, place.shown)
    entry = entry_of(raw, len(rows), "hub", source.revision)
    write_listed(data, sums_file(source, data), {key_of(source, file.name): entry}, {file: raw})
    return "fetched"


def _by_hand(place: SplitPlace) -> DataError:
    name, source = place.task.full_name, place.task.source
    others = [f"{place.task.name}@{other.name}" for other in place.task.sources[1:] if other.hub]
    fix = (
        "put the file there"
        if source.root
        else f"bench data import FOLDER --task {name} --data DIR"
    )
    return DataError(
        f"{name}: {place.shown} is not on the hub, and is had by hand only",
        allowed=f"from the hub: {', '.join(others)}" if others else None,
        fix=fix,
    )


def _is_there(place: SplitPlace, file: Path, force: bool) -> bool:
    """Whether the file is there as it was written; one that is not ours is refused, but for
    `force`.
    """
    if len(place.files) > 1:
        raise _in_the_way(place)
    stands = place.files[0] if place.files else file
    if not os.path.lexists(stands):
        return False
    if place.entry is not None and place.files:
        error = changed(
            place.task, stands, place.entry, hashlib.sha256(read_bytes(stands)).hexdigest()
        )
        if error is None:
            return place.entry.revision in (None, place.task.source.revision)
    else:
        fix = f"bench data import {stands.parent} --task {place.task.full_name} takes it as it is; --force replaces it"
        error = DataError("a file stands there that was not fetched", where=str(stands), fix=fix)
    if not force:
        raise error
    if stands != file:
        raise _in_the_way(place)
    return False


def _in_the_way(place: SplitPlace) -> DataError:
    names = " and ".join(file.name for file in place.files)
    return DataError(
        f"the split '{place.split}' stands there as {names}", where=place.name, fix="move it away"
    )


def _as_lines(place: SplitPlace, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as JSON lines, with the hub's own columns."""
    where = f"hub: {place.name}@{place.task.source.revision}"
    done: list[str] = []
    try:
        for row in rows:
            done.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        return "".join(done).encode()
    except (TypeError, ValueError) as error:
        raise DataError(
            f"this row is no JSON: {error}", where=f"{where}, row {len(done) + 1}"
        ) from error


def verify(asked: Sequence[SplitPlace]) -> Iterator[Checked]:
    """Check every file that is there, or should be: its sum where it is known, and its rows as the
    loader reads them.

    A file that several tasks read is checked for each of them, and reported once.
    """
    together: dict[tuple[str, str], list[SplitPlace]] = {}
    for place in asked:
        together.setdefault(place.key, []).append(place)
    begun = {
        (place.task.name, place.task.source.name) for place in asked if place.files or place.entry
    }
    for users in together.values():
        first = users[0]
        if first.files:
            yield _check(users)
        elif any((place.task.name, place.task.source.name) in begun for place in users):
            yield Checked(first.shown, None, first.entry is not None, _missing(first))


def _missing(place: SplitPlace) -> DataError:
    name = place.task.full_name
    known = f"; it was written on {place.entry.date} as {place.missing}" if place.entry else ""
    fix = (
        f"bench data fetch {name}"
        if place.task.source.hub
        else f"bench data import FOLDER --task {name}"
    )
    return DataError(
        f"{name}: this file is missing, and others of the task are there{known}", fix=fix
    )


def _check(users: Sequence[SplitPlace]) -> Checked:
    first = users[0]
    rows = None
    try:
        if len(first.files) > 1:
            raise _in_the_way(first)
        found = hashlib.sha256(b"".join(map(read_bytes, shards_of(first.files[0])))).hexdigest()
        if first.entry and (error := changed(first.task, first.files[0], first.entry, found)):
            raise error
        for place in users:
            parsed, _ = read_file(place.task.source, place.files[0])
            check_rows(place.task, place.split, parsed, str(place.files[0]))
            rows = len(parsed)
            if place.entry and (error := moved(place.task, place.files[0], place.entry)):
                raise error
    except BenchError as error:
        return Checked(first.shown, None, first.entry is not None, error)
    return Checked(first.shown, rows, first.entry is not None, None)
