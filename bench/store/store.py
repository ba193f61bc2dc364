"""The store: one file per run with its predictions beside it (`fewbench.store.paths`), no locks.

A predictions file is named by its contents. The record names it and is written last. So a kill
between the two leaves the old record with the old predictions, and two writers of one run never mix
a record with the other's predictions.
"""

from __future__ import annotations

import glob
import hashlib
import re
import secrets
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, TypeVar

from fewbench.errors import BenchError, StoreDamaged
from fewbench.errors import StoreFull as StoreFull
from fewbench.errors import StoreUnwritable as StoreUnwritable
from fewbench.io.atomic import finish_writing, holds, make_folder, remove, unwritable, write_whole
from fewbench.io.checked_json import read
from fewbench.io.files import LARGEST_DATA
from fewbench.store import paths
from fewbench.store.artifacts import Artifacts
from fewbench.store.claims import Claims
from fewbench.store.damage import Damage, second, to_damage, unread_folder
from fewbench.store.predictions import from_bytes, to_bytes
from fewbench.store.record import Record, from_json, run_key, to_json
from fewbench.store.seed_runs import SeedRuns
from fewbench.types import Predictions, Run

P = TypeVar("P", str, Path)


class Stamp(NamedTuple):
    """The state of a record's file: another one tells that the record has been written again."""

    number: int
    changed: int


class StampedRecord(NamedTuple):
    """A record and the state of its file."""

    record: Record
    stamp: Stamp


def _warn(damage: Damage) -> None:
    warnings.warn(str(damage), stacklevel=3)


class Store:
    """The records of runs in a folder. A missing folder is read as empty, and made by writing.

    Args:
        root: the results folder.
        on_damage: called with each damaged record that `get` and `save` find; warns by default.
            `damaged` lists these and all others found.
    """

    def __init__(self, root: Path, on_damage: Callable[[Damage], None] = _warn) -> None:
        self.root = root
        self.on_damage = on_damage
        self._damaged: dict[Damage, None] = {}

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        """Pickle without `on_damage`: worker processes only write."""
        return Store, (self.root,)

    @property
    def damaged(self) -> list[Damage]:
        """All damaged records found so far."""
        return list(self._damaged)

    @property
    def runs(self) -> Path:
        """The folder of the records."""
        return self.root / "runs"

    @property
    def artifacts(self) -> Artifacts:
        """The artifacts that runs have built for others."""
        return Artifacts(self.root / "artifacts")

    def claims(self) -> Claims:
        """Return the claims on works under way, as this process takes and sees them."""
        return Claims(self.root / "claims")

    def save(self, record: Record, predictions: Predictions | None) -> Path:
        """Write a record's predictions, then the record; return its file.

        An earlier record of the same run is replaced. SIGINT and SIGTERM wait until both files are
        written.

        Raises:
            StoreUnwritable: the files cannot be written; nothing was.
            StoreFull: the same, for lack of space.
            BenchError: a value in the record has no JSON form.
        """
        run = replace(record.run, key=run_key(record.run))
        data = None if predictions is None else to_bytes(predictions, run)
        digest = None if data is None else hashlib.sha256(data).hexdigest()
        record = replace(record, run=run, predictions=digest)
        text = to_json(record).encode()
        with finish_writing():
            file, old = self._choose_file(run)
            beside = paths.beside(file, record)
            durable = _write_pair(file, text, beside, data)
            replaced = None if old is None else paths.beside(file, old)
            # Without a durable write a power cut may bring back the old record, which needs them.
            if durable and replaced is not None and replaced != beside:
                remove(replaced)
        return file

    def get(self, run: Run) -> Record | None:
        """Return the record of a run, by its path; set a damaged one aside and return None.

        Raises:
            BenchError: the record is of a newer version, or cannot be read.
        """
        return self._lookup(run)[1]

    def stored(self, run: Run) -> StampedRecord | None:
        """Return the record of a run as `get` does, with the state of its file.

        Raises:
            BenchError: the record is of a newer version, or cannot be read.
        """
        file, record = self._lookup(run)
        if file is None or record is None:
            return None
        try:
            status = file.stat()
        except FileNotFoundError:
            return None
        return StampedRecord(record, Stamp(status.st_ino, status.st_mtime_ns))

    def records(self) -> Iterator[Record]:
        """Yield all intact records, by path. The others are listed in `damaged`."""
        return (record for _, record in self.filed())

    def filed(self) -> Iterator[tuple[Path, Record]]:
        """Yield the file of each intact record, and the record, by path; one record per run.

        The others are listed in `damaged`.
        """
        yield from self._first_of_each_run(self._intact(self._files()))

    def summaries(self) -> Iterator[Record]:
        """Yield all intact records as tables need them: without trials, warnings and details."""
        yield from (record for _, record in self._summaries())

    def placed(self) -> Iterator[tuple[Path, Record]]:
        """Yield the file of each of the `summaries`, and the summary."""
        yield from ((Path(file), record) for file, record in self._summaries())

    def seed_runs(self) -> list[SeedRuns]:
        """Return all intact runs with their scores, grouped as tables place them."""
        from fewbench.store.index import scores

        groups: dict[int, SeedRuns] = {}
        names = paths.record_names(self.runs, self._unreadable)
        first_files: dict[str, str] = {}
        for file, group, run in scores(self.root, names, self._read):
            if self._is_first(file, run.key, first_files):
                group.runs.append(run)
                groups[id(group)] = group
        return list(groups.values())

    def count(self) -> int:
        """Count the files of records, damaged ones included, without reading them."""
        return len(paths.record_names(self.runs, self._unreadable))

    def _summaries(self) -> Iterator[tuple[str, Record]]:
        from fewbench.store.index import summaries

        names = paths.record_names(self.runs, self._unreadable)
        yield from self._first_of_each_run(summaries(self.root, names, self._read))

    def _read(self, file: str) -> Record | None:
        """Return the record in a file; None where it is damaged, which is noted, or gone."""
        return next((record for _, record in self._intact([Path(file)])), None)

    def _first_of_each_run(self, placed: Iterable[tuple[P, Record]]) -> Iterator[tuple[P, Record]]:
        """Yield the first record of each run, and note the others."""
        first_files: dict[str, P] = {}
        for file, record in placed:
            if self._is_first(file, record.run.key, first_files):
                yield file, record

    def _is_first(self, file: P, key: str, first_files: dict[str, P]) -> bool:
        first = first_files.setdefault(key, file)
        if first is not file:
            self._note(second(Path(file), Path(first)))
        return first is file

    def find(self, prefix: str) -> Record:
        """Return the record whose key begins with `prefix`, of at least four hex digits.

        Raises:
            BenchError: no such record, or several.
            StoreDamaged: the record is damaged.
        """
        prefix = prefix.lower()
        if not re.fullmatch("[0-9a-f]{4,32}", prefix):
            raise BenchError(
                f"'{prefix}' is not a key",
                allowed="four or more of the digits 0-9a-f",
                fix="bench ls runs",
            )
        files = self._files()
        candidates = [file for file in files if _may_begin_with(paths.digits(file), prefix)]
        records: dict[str, Record] = {}
        for _, record in self._intact(candidates):
            if record.run.key.startswith(prefix):
                records[record.run.key] = record
        if len(records) == 1:
            return next(iter(records.values()))
        if records:
            problem = f"several runs begin with '{prefix}'"
            raise BenchError(problem, allowed=sorted(records), fix="type more digits")
        for damage in self.damaged:
            if damage.path in candidates:
                fix = "bench fsck --repair, then bench run"
                raise StoreDamaged(damage.reason, where=str(damage.path), fix=fix)
        raise self._no_run(prefix, files)

    def _no_run(self, prefix: str, files: Iterable[Path]) -> BenchError:
        problem = f"no run begins with '{prefix}'"
        error = BenchError(problem, where=str(self.root), fix="bench ls runs")
        keys = {paths.digits(file)[:8] for file in files}
        error.nearest = get_close_matches(prefix[:8], keys, 3, 0.5)
        return error

    def predictions(self, record: Record) -> Predictions:
        """Return a record's predictions.

        Raises:
            StoreDamaged: they are missing, or not what was written.
            BenchError: the run has none.
        """
        if record.predictions is None:
            raise BenchError(
                f"the run {record.run.key} has no predictions: {record.error or 'none were stored'}"
            )
        files = (paths.beside(file, record) for file in paths.candidates(self.runs, record.run))
        beside = next((file for file in files if file is not None and file.exists()), None)
        if beside is None:
            raise StoreDamaged(
                f"the predictions of run {record.run.key} are missing",
                where=str(paths.folder(self.runs, record.run)),
                fix="bench fsck --repair, then bench run",
            )
        return load_predictions(beside, record)

    def set_aside(self, file: Path) -> Path:
        """Move a file to `<root>/damaged/`, with all that belongs to a record or measurement.

        The files there get names that no other file has.

        Raises:
            OSError: it cannot be moved.
        """
        folder = self.root / "damaged" / file.parent.relative_to(self.root)
        make_folder(folder)
        token = secrets.token_hex(4)
        beside: list[Path] = []
        if file.suffix == paths.RECORD:
            beside += file.parent.glob(f"{glob.escape(file.stem)}.*")
        for moved in (*(other for other in beside if other != file), file):
            moved.rename(folder / f"{token}-{moved.name}")
        return folder / f"{token}-{file.name}"

    def fsck(self, *, repair: bool = False) -> list[Damage]:
        """Check every file; see `fewbench.store.fsck.check`."""
        from fewbench.store.fsck import check

        return check(self, repair=repair)

    def _files(self) -> list[Path]:
        return paths.record_files(self.runs, self._unreadable)

    def _unreadable(self, error: OSError) -> None:
        self._note(unread_folder(error))

    def _note(self, damage: Damage) -> None:
        self._damaged[damage] = None

    def _intact(self, files: Iterable[Path]) -> Iterator[tuple[Path, Record]]:
        for file in files:
            try:
                yield file, load(file)
            except FileNotFoundError:
                continue  # another process has just set it aside
            except BenchError as error:
                self._note(to_damage(file, error))

    def _lookup(self, run: Run) -> tuple[Path | None, Record | None]:
        key = run_key(run)
        for file in paths.candidates(self.runs, run, key):
            try:
                record = load(file)
            except FileNotFoundError:
                continue
            except StoreDamaged as error:
                self._report(to_damage(file, error))
                continue
            if record.run.key == key:
                return file, record
        return None, None

    def _choose_file(self, run: Run) -> tuple[Path, Record | None]:
        """Return the file to write a run's record to, and the record that it replaces."""
        file, old = self._lookup(run)
        if file is not None:
            return file, old
        files = paths.own(self.runs, run)
        longest = files[-1]
        if all(file.exists() for file in files):
            # The longest name has the complete key, so another run's record was moved there.
            self._report(Damage(longest, "the record of another run"))
        for file in files:
            if not file.exists():
                return file, old
        problem = "the record of another run is in the place of this run's"
        raise StoreUnwritable(problem, where=str(longest), fix="move it away")

    def _report(self, damage: Damage) -> None:
        try:
            done = f"moved to {self.set_aside(damage.path)}"
        except OSError as error:
            done = f"could not be set aside ({error.strerror})"
        damage = replace(damage, done=done)
        self._note(damage)
        self.on_damage(damage)


def _may_begin_with(digits: str, prefix: str) -> bool:
    """True if a key of which only the first digits are known may begin with a prefix."""
    return digits.startswith(prefix[: len(digits)])


def _write_pair(file: Path, text: bytes, beside: Path | None, data: bytes | None) -> bool:
    """Write predictions, if any, then their record; return True if the record survives a power cut.

    If the record cannot be written, predictions that did not exist before are removed again.
    """
    fresh = beside is not None and not beside.exists()
    try:
        if beside is not None and data is not None:
            write_whole(beside, data)
        return write_whole(file, text)
    except OSError as error:
        if beside is not None and fresh and not holds(file, text):
            remove(beside)
        raise unwritable(file, error) from error


def load(file: Path) -> Record:
    """Return the record in a file.

    Raises:
        StoreDamaged: it is not what was written.
        BenchError: a newer version wrote it, or it cannot be read.
        FileNotFoundError: it does not exist.
    """
    data = read(file, "record")
    try:
        return from_json(data.decode("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise StoreDamaged(
            f"damaged record: {error}", where=str(file), fix="bench fsck --repair"
        ) from error


def load_predictions(file: Path, record: Record) -> Predictions:
    """Return the predictions in a file, checked against the hash in their record.

    Raises:
        StoreDamaged: they are missing, or not what was written.
        StoreUnwritable: they cannot be read.
    """
    try:
        data = read(file, "predictions", LARGEST_DATA)
    except FileNotFoundError as error:
        raise StoreDamaged(
            "its predictions are missing", where=str(file), fix="bench fsck --repair"
        ) from error
    if hashlib.sha256(data).hexdigest() != record.predictions:
        raise StoreDamaged(
            f"damaged predictions: not what run {record.run.key} wrote",
            where=str(file),
            fix="bench fsck --repair, then bench run",
        )
    return from_bytes(data, str(file))
