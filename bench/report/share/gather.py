"""Read a results folder from elsewhere: trust nothing in it, and read nothing outside it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from fewbench.errors import BenchError
from fewbench.io.atomic import TEMPORARY
from fewbench.store import paths
from fewbench.store.measurement import Measurement, attached_file
from fewbench.store.measurement import from_bytes as measurement_from_bytes
from fewbench.store.predictions import from_bytes
from fewbench.store.record import Record, from_json, run_key
from fewbench.types import Predictions

LARGEST_RECORD, LARGEST_PREDICTIONS = 16 * 2**20, 2 * 2**30
"""Bytes that are read at most: of a record or measurement, and of predictions or attached files."""

IGNORED = frozenset({".DS_Store", "Thumbs.db", ".gitkeep"})


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement beside its record, and the bytes of its attached files, by ending."""

    measurement: Measurement
    attached: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record in a folder, as bytes: those that were checked are those that are copied.

    `measured` are the measurements that fit it.
    """

    place: PurePosixPath
    record: Record
    text: bytes
    predictions: bytes | None
    measured: tuple[Measured, ...] = ()

    def loaded(self) -> Predictions | None:
        """Return its predictions."""
        return None if self.predictions is None else from_bytes(self.predictions, str(self.place))

    @property
    def files(self) -> dict[PurePosixPath, bytes]:
        """The files to write, by path below `runs/`.

        Predictions come first, so that no record ever lacks them.
        """
        files = {}
        predictions = paths.beside(Path(self.place), self.record)
        if predictions is not None and self.predictions is not None:
            files[PurePosixPath(predictions)] = self.predictions
        files[self.place] = self.text
        return files


def gather(folder: Path) -> tuple[list[FoundRecord], list[str]]:
    """Return the intact records of a results folder, and its problems, a line each.

    Raises:
        BenchError: there is no such folder, or no runs in it.
    """
    runs = folder / "runs"
    _expect_folder(folder)
    _expect_folder(runs)
    files, problems = _files(runs)
    measurements = _by_record(files)
    files = files.difference(*measurements.values())
    found = []
    used = set()
    for place in sorted(files):
        if place.suffix != paths.RECORD:
            continue
        try:
            record = _found(runs, place, files, measurements.get(place, ()))
        except (BenchError, OSError) as error:
            reason = error.problem if isinstance(error, BenchError) else error.strerror
            problems.append(f"{place}: {reason}")
            stem = str(place.with_suffix(""))
            used |= {other for other in files if str(other).startswith(stem)}
            continue
        found.append(record)
        used |= record.files.keys()
    problems += [f"{place}: predictions of no record" for place in sorted(files - used)]
    return found, problems


def _expect_folder(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise BenchError(
            f"there is no folder {folder}",
            allowed="a results folder with runs/ in it",
            fix="bench run --results DIR",
        )


def _files(runs: Path) -> tuple[set[PurePosixPath], list[str]]:
    """Return the store's files below a folder, without following links, and its problems."""
    files, problems = set(), []
    for here, folders, names in os.walk(runs):
        folders.sort()
        for name in sorted([*folders, *names]):
            file = Path(here, name)
            mode = file.lstat().st_mode
            if _is_skipped(name, mode):
                continue
            place = PurePosixPath(file.relative_to(runs).as_posix())
            if problem := _problem(place, mode):
                problems.append(f"{place}: {problem}")
            else:
                files.add(place)
    return files, problems


def _is_skipped(name: str, mode: int) -> bool:
    """True if a file is a folder, litter of a desktop, or a write that never ended."""
    if stat.S_ISLNK(mode):
        return False
    is_unfinished = stat.S_ISREG(mode) and name.endswith(TEMPORARY)
    return stat.S_ISDIR(mode) or name in IGNORED or is_unfinished


def _problem(place: PurePosixPath, mode: int) -> str | None:
    if stat.S_ISLNK(mode):
        return "a link, which may lead anywhere"
    if not stat.S_ISREG(mode):
        return "not a file but a device, a pipe or a socket"
    in_store = place.suffix in (paths.RECORD, paths.PREDICTIONS) or paths.measured(place.name)
    if len(place.parts) != 4 or not in_store:
        return "not a file of a store"
    return None


def _by_record(files: Iterable[PurePosixPath]) -> dict[PurePosixPath, list[PurePosixPath]]:
    """Return the files of measurements, by the place of the record that they belong to."""
    measurements: dict[PurePosixPath, list[PurePosixPath]] = {}
    for place in sorted(files):
        if parts := paths.measured(place.name):
            record = place.with_name(parts["stem"] + paths.RECORD)
            measurements.setdefault(record, []).append(place)
    return measurements


def _found(
    runs: Path,
    place: PurePosixPath,
    files: set[PurePosixPath],
    measurements: Iterable[PurePosixPath],
) -> FoundRecord:
    """Read a record with its predictions and measurements, and check that they belong together."""
    text = _read(runs / place, LARGEST_RECORD)
    try:
        record = from_json(text.decode("utf-8"), str(place))
    except UnicodeDecodeError as error:
        raise BenchError(f"not a text in UTF-8: {error}") from error
    if record.run.key != run_key(record.run):
        raise BenchError("its key is not its run's")
    if not paths.belongs(runs, runs / place, record):
        expected = paths.folder(runs, record.run).relative_to(runs) / paths.names(record.run)[0]
        raise BenchError(f"it belongs to {expected.as_posix()}")
    found = FoundRecord(place, record, text, _predictions(runs, place, record, files))
    found.loaded()  # raises if they cannot be read
    return replace(found, measured=tuple(_measured(runs, record, measurements)))


def _predictions(
    runs: Path, place: PurePosixPath, record: Record, files: set[PurePosixPath]
) -> bytes | None:
    file = paths.beside(Path(place), record)
    if file is None:
        return None
    if PurePosixPath(file.as_posix()) not in files:
        raise BenchError(f"its predictions are missing: {file.name}")
    data = _read(runs / file, LARGEST_PREDICTIONS)
    if hashlib.sha256(data).hexdigest() != record.predictions:
        raise BenchError("its predictions have another checksum than the record names")
    return data


def _measured(runs: Path, record: Record, places: Iterable[PurePosixPath]) -> Iterator[Measured]:
    """Yield the measurements that fit a record, without those of another outcome of its run."""
    for place in places:
        parts = paths.measured(place.name)
        if parts is None or parts["hash"] or place.suffix != paths.RECORD:
            continue  # attached to a measurement, or a measurement under way
        try:
            measured = _read_measurement(runs / place)
        except BenchError as error:
            raise BenchError(f"{place.name}: {error.problem}") from error
        except FileNotFoundError as error:
            raise BenchError(f"{place.name}: a file attached to it is missing") from error
        if measured.measurement.fits(record):
            yield measured


def _read_measurement(file: Path) -> Measured:
    measurement = measurement_from_bytes(_read(file, LARGEST_RECORD), file)
    attached = {}
    for ending, digest in measurement.files.items():
        data = _read(attached_file(file, ending, digest), LARGEST_PREDICTIONS)
        attached[ending] = data
    for ending, digest in measurement.files.items():
        if hashlib.sha256(attached[ending]).hexdigest() != digest:
            raise BenchError("a file attached to it has another checksum than it names")
    return Measured(measurement, attached)


def _read(file: Path, most: int) -> bytes:
    """Return a file's bytes, without following a link that has just replaced it."""
    number = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(number, "rb") as stream:
        if os.fstat(number).st_size > most:
            raise BenchError(f"larger than {most // 2**20} MiB")
        return stream.read()
