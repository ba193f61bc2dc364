"""Copies records into a store: all of them, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from fewbench import layout
from fewbench.durable import finish_writing, remove, write_whole
from fewbench.errors import BenchError
from fewbench.record import Record
from fewbench.sharing.gather import Found
from fewbench.store import Store

Keep = Literal["old", "new"]


class Copied(NamedTuple):
    """How many records were written, and how many stood there already."""

    written: int
    there: int


def copy_into(store: Store, found: Sequence[Found], keep: Keep | None = None) -> Copied:
    """Write records and their predictions into a store.

    Args:
        store: its folder is made where there is none.
        found: whole records; of two of one run the later one is the newer.
        keep: which of two records of one run with other scores stays.

    Raises:
        BenchError: two records of one run with other scores and no `keep`, or a file that cannot be written. Nothing
            has been written then: what had been was put back.
    """
    writes: dict[PurePosixPath, bytes] = {}
    new: dict[str, Found] = {}
    clashes, there = [], 0
    for one in found:
        key = one.record.run.key
        earlier = new[key].record if key in new else store.get(one.record.run)
        if earlier is not None and (like(earlier, one.record) or keep == "old"):
            there += 1
            continue
        if earlier is not None and keep is None:
            clashes.append(f"{one.place}: {_scores(earlier)} here, {_scores(one.record)} there")
            continue
        new[key] = one
    if clashes:
        raise BenchError(
            f"{len(clashes)} runs have two records with other scores: {'; '.join(clashes[:3])}",
            where=str(store.root),
            fix="--keep old or --keep new",
        )
    for one in new.values():
        old = store.get(one.record.run)
        place = _place_of(store, old) if old else one.place
        writes |= _moved(one, place)
    _write(store.runs, writes)
    return Copied(len(new), there)


def like(one: Record, other: Record) -> bool:
    """Whether two records of one run came out the same: status, scores and predictions, whenever and wherever made."""
    return (one.status, one.scores, one.predictions) == (other.status, other.scores, other.predictions)


def _scores(record: Record) -> str:
    scores = record.scores.get("test", {})
    return ", ".join(f"{name} {score:.4f}" for name, score in scores.items()) or record.status


def _place_of(store: Store, record: Record) -> PurePosixPath:
    file = next(file for file in layout.candidates(store.runs, record.run) if file.exists())
    return PurePosixPath(file.relative_to(store.runs).as_posix())


def _moved(one: Found, place: PurePosixPath) -> dict[PurePosixPath, bytes]:
    return Found(place, one.record, one.text, one.predictions).files


def _write(root: Path, files: Mapping[PurePosixPath, bytes]) -> None:
    targets = {root / place: data for place, data in files.items()}
    before = {file: file.read_bytes() if file.is_file() else None for file in targets}
    begun: list[Path] = []
    with finish_writing():
        try:
            for file, data in targets.items():
                _refuse_outside(root, file)
                begun.append(file)
                write_whole(file, data)
        except BaseException as error:
            for file in reversed(begun):
                _put_back(file, before[file])
            if isinstance(error, OSError):
                raise BenchError(f"nothing was copied: {error.strerror}", where=str(begun[-1])) from error
            raise


def _refuse_outside(root: Path, file: Path) -> None:
    """Refuse a file that a link in the store would lead out of it."""
    if not file.parent.resolve().is_relative_to(root.resolve()):
        raise BenchError("nothing was copied: this would be written outside the store", where=str(file))


def _put_back(file: Path, old: bytes | None) -> None:
    if old is None:
        remove(file)
        return
    with contextlib.suppress(OSError):  # the first error is the one to tell
        write_whole(file, old)
