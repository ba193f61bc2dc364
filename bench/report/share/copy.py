"""Copy records into a store: all of them, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from fewbench.errors import BenchError, how_many
from fewbench.io.atomic import finish_writing, remove, write_whole
from fewbench.report.share.gather import FoundRecord, Measured
from fewbench.store import paths
from fewbench.store.measurement import attached_file, read, remove_others, to_bytes
from fewbench.store.record import Record
from fewbench.store.store import Store

Keep = Literal["old", "new"]


class Copied(NamedTuple):
    """The outcome of copying.

    `written` and `measurements` count what was written, `there` the records that were in the store
    already, and `other_code` those of them that other code of their method made.
    """

    written: int
    there: int
    measurements: int
    other_code: int


class _Choice(NamedTuple):
    """The records to write, by key, and the counts of the others."""

    new: dict[str, FoundRecord]
    there: int
    other_code: int


class _Target(NamedTuple):
    """The place of a run's record, the record that will be there, and the one that is there now."""

    place: PurePosixPath
    record: Record
    old: Record | None


def copy_into(
    store: Store, found: Sequence[FoundRecord], keep: Keep | None = None, *, attached: bool = True
) -> Copied:
    """Write records, their predictions and their measurements into a store.

    A measurement is written if it fits the run's outcome in the store, and none of its kind is
    there yet.

    Args:
        store: its folder is made if it is missing.
        found: intact records; of two records of one run the later one counts as the newer.
        keep: which of two records of one run with other scores stays; `new` also takes those of
            other code.
        attached: also write the files attached to measurements, which are texts of the data.

    Raises:
        BenchError: two records of one run have other scores and `keep` is not given, or a file
            cannot be written. The store is then as it was.
    """
    choice = _choose(store, found, keep)
    targets = _targets(store, found, choice.new)
    writes: dict[PurePosixPath, bytes] = {}
    replaced: set[PurePosixPath] = set()
    for key, record in choice.new.items():
        target = targets[key]
        writes |= replace(record, place=target.place).files
        if target.old and (predictions := paths.beside(Path(target.place), target.old)):
            replaced.add(PurePosixPath(predictions))
    measurements = _measurements(store, found, targets)
    if not attached:
        measurements = {file: _without_files(each) for file, each in measurements.items()}
    for file, measured in measurements.items():
        writes |= _files(measured, file)
    _write(store.runs, writes)
    for file in replaced - writes.keys():
        remove(store.runs / file)
    for file, measured in measurements.items():
        remove_others(store.runs / file, measured.measurement)
    return Copied(len(choice.new), choice.there, len(measurements), choice.other_code)


def _choose(store: Store, found: Sequence[FoundRecord], keep: Keep | None) -> _Choice:
    """Choose the records to write.

    Raises:
        BenchError: two records of one run have other scores and `keep` is not given.
    """
    new: dict[str, FoundRecord] = {}
    clashes, there, other_code = [], 0, 0
    for candidate in found:
        record = candidate.record
        key = record.run.key
        earlier = new[key].record if key in new else store.get(record.run)
        if earlier is None:
            new[key] = candidate
        elif _stays(earlier, record, keep):
            there += 1
            other_code += earlier.method_code != record.method_code
        elif keep is None:
            clashes.append(f"{candidate.place}: {_scores(earlier)} here, {_scores(record)} there")
        else:
            new[key] = candidate
    if clashes:
        raise BenchError(
            f"{how_many(len(clashes), 'run')} with two records whose scores differ: "
            f"{'; '.join(clashes[:3])}",
            where=str(store.root),
            fix="--keep old or --keep new",
        )
    return _Choice(new, there, other_code)


def _stays(earlier: Record, record: Record, keep: Keep | None) -> bool:
    """True if the earlier one of two records of a run is kept."""
    if keep == "old":
        return True
    same_code = earlier.method_code == record.method_code
    return like(earlier, record) and (same_code or keep != "new")


def _targets(
    store: Store, found: Sequence[FoundRecord], new: Mapping[str, FoundRecord]
) -> dict[str, _Target]:
    """Return the target of each run, by key: a record replaces the old one in its place."""
    targets = {}
    for candidate in found:
        key = candidate.record.run.key
        old = store.get(candidate.record.run)
        if old is None:
            targets[key] = _Target(new[key].place, new[key].record, None)
        else:
            record = new[key].record if key in new else old
            targets[key] = _Target(_place_of(store, old), record, old)
    return targets


def like(record: Record, other: Record) -> bool:
    """True if two records of one run have the same status, scores and predictions."""
    return (record.status, record.scores, record.predictions) == (
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


def _measurements(
    store: Store, found: Sequence[FoundRecord], targets: Mapping[str, _Target]
) -> dict[PurePosixPath, Measured]:
    """Return the measurements to write, by place: they fit their run's record and have no rival."""
    new: dict[PurePosixPath, Measured] = {}
    for candidate in found:
        target = targets[candidate.record.run.key]
        for measured in candidate.measured:
            what = measured.measurement.what
            file = PurePosixPath(paths.measurement(Path(target.place), what))
            if file in new or not measured.measurement.fits(target.record):
                continue
            if not _is_measured(store.runs / file, target.record):
                new[file] = measured
    return new


def _is_measured(file: Path, record: Record) -> bool:
    """True if a file holds an intact measurement that fits a record."""
    with contextlib.suppress(FileNotFoundError, BenchError):
        return read(file).fits(record)
    return False


def _without_files(measured: Measured) -> Measured:
    return Measured(replace(measured.measurement, files={}), {})


def _files(measured: Measured, file: PurePosixPath) -> dict[PurePosixPath, bytes]:
    """Return the files of a measurement to be written to `file`, itself last."""
    files = {}
    for ending, digest in measured.measurement.files.items():
        attached = attached_file(Path(file), ending, digest)
        files[PurePosixPath(attached)] = measured.attached[ending]
    files[file] = to_bytes(measured.measurement)
    return files


def _write(root: Path, files: Mapping[PurePosixPath, bytes]) -> None:
    targets = {root / place: data for place, data in files.items()}
    before = {file: _bytes(file) for file in targets}
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


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _refuse_outside(root: Path, file: Path) -> None:
    """Refuse a file that is outside the store, behind a link in it."""
    if not file.parent.resolve().is_relative_to(root.resolve()):
        raise BenchError("nothing was copied: this file is outside the store", where=str(file))


def _put_back(file: Path, old: bytes | None) -> None:
    if old is None:
        remove(file)
        return
    with contextlib.suppress(OSError):  # the first error is the one that is reported
        write_whole(file, old)
