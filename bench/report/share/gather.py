"""Reads a folder of results that somebody else made: nothing in it is trusted, and nothing outside
it is read.
"""

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
"""Bytes that are read at most: of a record or a measurement, and of what belongs to one."""

IGNORED = frozenset({".DS_Store", "Thumbs.db", ".gitkeep"})


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement as it lies beside its record, and the bytes of what is attached to it, by
    ending.
    """

    measurement: Measurement
    attached: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record as it lies in a folder: the bytes that were checked are those that are copied.

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
        """What is written, by its path below `runs/`: predictions first, so that no record ever
        lacks them.
        """
        beside = paths.beside(Path(self.place), self.record)
        files = (
            {}
            if beside is None or self.predictions is None
            else {PurePosixPath(beside): self.predictions}
        )
        return {**files, self.place: self.text}


def gather(folder: Path) -> tuple[list[FoundRecord], list[str]]:
    """Return the whole records of a results folder, and all that is wrong with it, a line each.

    Raises:
        BenchError: no such folder, or no runs in it.
    """
    runs = folder / "runs"
    for needed in (folder, runs):
        if needed.is_symlink() or not needed.is_dir():
            raise BenchError(
                f"there is no folder {needed}",
                allowed="a results folder with runs/ in it",
                fix="bench run --results DIR",
            )
    files, problems = _files(runs)
    beside: dict[PurePosixPath, list[PurePosixPath]] = {}
    for place in sorted(files):
        if parts := paths.measured(place.name):
            files.remove(place)
            beside.setdefault(place.with_name(parts["stem"] + paths.RECORD), []).append(place)
    found = []
    used = set()
    for place in sorted(files):
        if place.suffix != paths.RECORD:
            continue
        try:
            one = _found(runs, place, files)
            one = replace(one, measured=tuple(_measured(runs, one.record, beside.get(place, ()))))
        except (BenchError, OSError) as error:
            problems.append(
                f"{place}: {error.problem if isinstance(error, BenchError) else error.strerror}"
            )
            used |= {other for other in files if str(other).startswith(str(place.with_suffix("")))}
            continue
        found.append(one)
        used |= one.files.keys()
    problems += [
        f"{place}: predictions that no record names" for place in sorted(files) if place not in used
    ]
    return found, problems


def _files(runs: Path) -> tuple[set[PurePosixPath], list[str]]:
    """Return the store's files below a folder, links not followed, and what else there is."""
    files, problems = set(), []
    for here, folders, names in os.walk(runs):
        folders.sort()
        for name in sorted([*folders, *names]):
            file = Path(here, name)
            place = PurePosixPath(file.relative_to(runs).as_posix())
            mode = file.lstat().st_mode
            if stat.S_ISLNK(mode):
                problems.append(f"{place}: a link, which may lead anywhere")
            elif stat.S_ISDIR(mode) or name in IGNORED:
                continue
            elif not stat.S_ISREG(mode):
                problems.append(f"{place}: no file but a device, a pipe or a socket")
            elif name.endswith(TEMPORARY):
                continue
            elif len(place.parts) != 4 or not (
                place.suffix in (paths.RECORD, paths.PREDICTIONS) or paths.measured(name)
            ):
                problems.append(f"{place}: not a file of a store")
            else:
                files.add(place)
    return files, problems


def _found(runs: Path, place: PurePosixPath, files: set[PurePosixPath]) -> FoundRecord:
    text = _read(runs / place, LARGEST_RECORD)
    try:
        record = from_json(text.decode("utf-8"), str(place))
    except UnicodeDecodeError as error:
        raise BenchError(f"no text in UTF-8: {error}") from error
    if record.run.key != run_key(record.run):
        raise BenchError("its key is not its run's")
    if not paths.belongs(runs, runs / place, record):
        expected = paths.folder(runs, record.run).relative_to(runs) / paths.names(record.run)[0]
        raise BenchError(f"it belongs to {expected.as_posix()}")
    beside = paths.beside(Path(place), record)
    if beside is None:
        return FoundRecord(place, record, text, None)
    if PurePosixPath(beside.as_posix()) not in files:
        raise BenchError(f"its predictions are not there: {beside.name}")
    data = _read(runs / beside, LARGEST_PREDICTIONS)
    if hashlib.sha256(data).hexdigest() != record.predictions:
        raise BenchError("its predictions are not those that it names: another checksum")
    found = FoundRecord(place, record, text, data)
    found.loaded()  # and they can be read
    return found


def _measured(runs: Path, record: Record, places: Iterable[PurePosixPath]) -> Iterator[Measured]:
    """Yield the measurements of a record that fit it; of another outcome they are no part of this
    one.
    """
    for place in places:
        parts = paths.measured(place.name)
        if parts is None or parts["hash"] or place.suffix != paths.RECORD:
            continue  # attached to one, or under way
        file = runs / place
        try:
            measurement = measurement_from_bytes(_read(file, LARGEST_RECORD), file)
            attached = {
                ending: _read(attached_file(file, ending, digest), LARGEST_PREDICTIONS)
                for ending, digest in measurement.files.items()
            }
        except BenchError as error:
            raise BenchError(f"{place.name}: {error.problem}") from error
        except FileNotFoundError as error:
            raise BenchError(f"{place.name}: what is attached to it is not there") from error
        if any(
            hashlib.sha256(attached[ending]).hexdigest() != digest
            for ending, digest in measurement.files.items()
        ):
            raise BenchError(
                f"{place.name}: what is attached to it is not what it names: another checksum"
            )
        if measurement.fits(record):
            yield Measured(measurement, attached)


def _read(file: Path, most: int) -> bytes:
    """Return a file's bytes; a link put in its place meanwhile is not followed."""
    number = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(number, "rb") as stream:
        if os.fstat(number).st_size > most:
            raise BenchError(f"larger than {most // 2**20} MiB")
        return stream.read()
