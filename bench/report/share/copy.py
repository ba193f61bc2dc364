"""Copies records into a store: all of them, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from fewbench.errors import BenchError
from fewbench.io.atomic import finish_writing, remove, write_whole
from fewbench.report.share.gather import FoundRecord, Measured
from fewbench.store import paths
from fewbench.store.measurement import attached_file, read, remove_others, to_bytes
from fewbench.store.record import Record
from fewbench.store.store import Store

Keep = Literal["old", "new"]


class Copied(NamedTuple):
    """How many records were written, and how many stood there already; how many measurements were
    written.

    `other_code` counts those that stood there and were made by other code of their method than the
    one found.
    """

    written: int
    there: int
    measurements: int
    other_code: int


def copy_into(
    store: Store, found: Sequence[FoundRecord], keep: Keep | None = None, *, attached: bool = True
) -> Copied:
    """Write records, their predictions and their measurements into a store.

    A measurement goes where its run came out as it did when it was measured, and where none of its
    kind stands.

    Args:
        store: its folder is made where there is none.
        found: whole records; of two of one run the later one is the newer.
        keep: which of two records of one run with other scores stays; `new` also takes those of
            other code.
        attached: whether what is attached to measurements, texts of the data, goes with them.

    Raises:
        BenchError: two records of one run with other scores and no `keep`, or a file that cannot be
            written. Nothing has been written then: what had been was put back.
    """
    new, there, other_code = _new(store, found, keep)
    writes: dict[PurePosixPath, bytes] = {}
    replaced: list[PurePosixPath] = []
    stand: dict[
        str, tuple[PurePosixPath, Record]
    ] = {}  # where each run's record will be, and which
    for one in found:
        key, old = one.record.run.key, store.get(one.record.run)
        if old is not None:
            stand[key] = _place_of(store, old), old
        if key in new:
            place = stand[key][0] if old else new[key].place
            writes |= replace(new[key], place=place).files
            if old is not None and (predictions := paths.beside(Path(place), old)):
                replaced.append(PurePosixPath(predictions))
            stand[key] = place, new[key].record
    measured = _measured(store, found, stand)
    if not attached:
        measured = {
            file: Measured(replace(each.measurement, files={}), {})
            for file, each in measured.items()
        }
    for file, each in measured.items():
        writes |= _laid(each, file)
    _write(store.runs, writes)
    for file in {*replaced} - writes.keys():
        remove(store.runs / file)
    for file, each in measured.items():
        remove_others(store.runs / file, each.measurement)
    return Copied(len(new), there, len(measured), other_code)


def _new(
    store: Store, found: Sequence[FoundRecord], keep: Keep | None
) -> tuple[dict[str, FoundRecord], int, int]:
    """Return the records to write, by key; how many need not be; of these, how many are of other
    code than stands.
    """
    new: dict[str, FoundRecord] = {}
    clashes, there, other_code = [], 0, 0
    for one in found:
        key = one.record.run.key
        earlier = new[key].record if key in new else store.get(one.record.run)
        same_code = earlier is not None and earlier.method_code == one.record.method_code
        if earlier is not None and (
            keep == "old" or (like(earlier, one.record) and (same_code or keep != "new"))
        ):
            there += 1
            other_code += not same_code
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
    return new, there, other_code


def like(one: Record, other: Record) -> bool:
    """Whether two records of one run came out the same: status, scores and predictions, whenever
    and wherever made.
    """
    return (one.status, one.scores, one.predictions) == (
        other.status,
        other.scores,
        other.predictions,
    )


def _scores(record: Record) -> str:
    scores = record.scores.get("test", {})
    return ", ".join(f"{name} {score:.4f}" for name, score in scores.items()) or record.status


def _place_of(store: Store, record: Record) -> PurePosixPath:
    file = next(file for file in paths.candidates(store.runs, record.run) if file.exists())
    return PurePosixPath(file.relative_to(store.runs).as_posix())


def _measured(
    store: Store, found: Sequence[FoundRecord], stand: Mapping[str, tuple[PurePosixPath, Record]]
) -> dict[PurePosixPath, Measured]:
    """Return the measurements to write, by place: those that fit the record that will stand, where
    none does yet.
    """
    new: dict[PurePosixPath, Measured] = {}
    for one in found:
        place, record = stand[one.record.run.key]
        for each in one.measured:
            file = PurePosixPath(paths.measurement(Path(place), each.measurement.what))
            if (
                each.measurement.fits(record)
                and file not in new
                and not _stands(store.runs / file, record)
            ):
                new[file] = each
    return new


def _stands(file: Path, record: Record) -> bool:
    """Whether a whole measurement that fits a record stands in a file."""
    with contextlib.suppress(FileNotFoundError, BenchError):
        return read(file).fits(record)
    return False


def _laid(one: Measured, file: PurePosixPath) -> dict[PurePosixPath, bytes]:
    """Return the files of a measurement that is to stand in a file: itself last."""
    beside = {
        PurePosixPath(attached_file(Path(file), ending, digest)): one.attached[ending]
        for ending, digest in one.measurement.files.items()
    }
    return {**beside, file: to_bytes(one.measurement)}


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
                raise BenchError(
                    f"nothing was copied: {error.strerror}", where=str(begun[-1])
                ) from error
            raise


def _refuse_outside(root: Path, file: Path) -> None:
    """Refuse a file that a link in the store would lead out of it."""
    if not file.parent.resolve().is_relative_to(root.resolve()):
        raise BenchError(
            "nothing was copied: this would be written outside the store", where=str(file)
        )


def _put_back(file: Path, old: bytes | None) -> None:
    if old is None:
        remove(file)
        return
    with contextlib.suppress(OSError):  # the first error is the one to tell
        write_whole(file, old)
