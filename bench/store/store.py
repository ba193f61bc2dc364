"""The store: one file a run, its predictions beside it (see `fewbench.store.paths`), no lock.

A predictions file is named by its contents, and the record, written last, names it. So a kill
between the two leaves the old record with the old predictions, and of two writers of the same run
neither gets the other's predictions.
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
from typing import TypeVar

from fewbench.errors import BenchError, StoreDamaged
from fewbench.errors import StoreFull as StoreFull
from fewbench.errors import StoreUnwritable as StoreUnwritable
from fewbench.io.atomic import finish_writing, holds, make_folder, remove, unwritable, write_whole
from fewbench.io.checked_json import read
from fewbench.io.files import LARGEST_DATA
from fewbench.store import paths
from fewbench.store.artifacts import Artifacts
from fewbench.store.damage import Damage, second, to_damage, unread_folder
from fewbench.store.predictions import from_bytes, to_bytes
from fewbench.store.record import Record, from_json, run_key, to_json
from fewbench.types import Predictions, Run

P = TypeVar("P", str, Path)


def _warn(damage: Damage) -> None:
    warnings.warn(str(damage), stacklevel=3)


class Store:
    """Records of runs under a folder. Reading a folder that is not there gives none; writing makes
    it.

    Args:
        root: the results folder.
        on_damage: hears of each damaged record met by `get` and `save`; warns unless given. All
            that was met is also in `damaged`.
    """

    def __init__(self, root: Path, on_damage: Callable[[Damage], None] = _warn) -> None:
        self.root = root
        self.on_damage = on_damage
        self._met: dict[Damage, None] = {}

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        """Pickle without the listener: worker processes only write."""
        return Store, (self.root,)

    @property
    def damaged(self) -> list[Damage]:
        """All damaged records met so far."""
        return list(self._met)

    @property
    def runs(self) -> Path:
        """The folder of the records."""
        return self.root / "runs"

    @property
    def artifacts(self) -> Artifacts:
        """What runs have built for others."""
        return Artifacts(self.root / "artifacts")

    def save(self, record: Record, predictions: Predictions | None) -> Path:
        """Write a record, and before it its predictions. Return the record's file.

        Takes the place of an earlier record of the same run. SIGINT and SIGTERM wait until both are
        written.

        Raises:
            StoreUnwritable: it cannot be written; nothing was.
            StoreFull: the same, for lack of space.
            BenchError: the record holds what JSON cannot.
        """
        run = replace(record.run, key=run_key(record.run))
        data = None if predictions is None else to_bytes(predictions, run)
        record = replace(
            record, run=run, predictions=None if data is None else hashlib.sha256(data).hexdigest()
        )
        text = to_json(record).encode()
        with finish_writing():
            file, old = self._place(run)
            beside, replaced = paths.beside(file, record), old and paths.beside(file, old)
            fresh = beside is not None and not beside.exists()
            try:
                if beside is not None and data is not None:
                    write_whole(beside, data)
                durable = write_whole(file, text)
            except OSError as error:
                if beside is not None and fresh and not holds(file, text):
                    remove(beside)
                raise unwritable(file, error) from error
            if (
                replaced and replaced != beside and durable
            ):  # else a power cut may bring back the record that needs them
                remove(replaced)
        return file

    def get(self, run: Run) -> Record | None:
        """Return the record of a run, by its path. A damaged one is set aside, reported, and counts
        as none.

        Raises:
            BenchError: a newer version's record stands there, or it cannot be read.
        """
        return self._lookup(run)[1]

    def records(self) -> Iterator[Record]:
        """Yield all whole records, by path. The others are listed in `damaged`."""
        return (record for _, record in self.filed())

    def filed(self) -> Iterator[tuple[Path, Record]]:
        """Yield the file of each whole record, and the record, by path: of each run one.

        The others are listed in `damaged`.
        """
        yield from self._once(self._whole(self._files()))

    def summaries(self) -> Iterator[Record]:
        """Yield all whole records as tables need them: without trials, warnings and details."""
        yield from (record for _, record in self._brief())

    def placed(self) -> Iterator[tuple[Path, Record]]:
        """Yield what `summaries` does, and the file of each."""
        yield from ((Path(file), record) for file, record in self._brief())

    def count(self) -> int:
        """Return how many files of records there are, damaged ones among them; none is read."""
        return len(paths.record_names(self.runs, self._unreadable))

    def _brief(self) -> Iterator[tuple[str, Record]]:
        from fewbench.store.index import summaries

        names = paths.record_names(self.runs, self._unreadable)
        yield from self._once(summaries(self.root, names, self._read))

    def _read(self, file: str) -> Record | None:
        """Return the record in a file; None where it is damaged, which is noted, or gone."""
        return next((record for _, record in self._whole([Path(file)])), None)

    def _once(self, placed: Iterable[tuple[P, Record]]) -> Iterator[tuple[P, Record]]:
        """Yield the first record of each run, and note the others."""
        first: dict[str, P] = {}
        for file, record in placed:
            if (before := first.setdefault(record.run.key, file)) is not file:
                self._met[second(Path(file), Path(before))] = None
                continue
            yield file, record

    def find(self, prefix: str) -> Record:
        """Return the record whose key begins with `prefix`, of at least four hex digits.

        Raises:
            BenchError: no such record, or several.
            StoreDamaged: there is one, and it is damaged.
        """
        prefix = prefix.lower()
        if not re.fullmatch("[0-9a-f]{4,32}", prefix):
            raise BenchError(
                f"'{prefix}' is no key",
                allowed="four or more of the digits 0-9a-f",
                fix="bench table",
            )
        files = self._files()
        near = [
            file
            for file in files
            if paths.digits(file).startswith(prefix[: len(paths.digits(file))])
        ]
        found = {
            record.run.key: record
            for _, record in self._whole(near)
            if record.run.key.startswith(prefix)
        }
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            raise BenchError(
                f"several runs begin with '{prefix}'", allowed=sorted(found), fix="type more digits"
            )
        for damage in self.damaged:
            if damage.path in near:
                raise StoreDamaged(
                    damage.reason, where=str(damage.path), fix="bench fsck --repair, then bench run"
                )
        error = BenchError(
            f"no run begins with '{prefix}'", where=str(self.root), fix="bench table shows the runs"
        )
        error.nearest = get_close_matches(
            prefix[:8], {paths.digits(file)[:8] for file in files}, 3, 0.5
        )
        raise error

    def predictions(self, record: Record) -> Predictions:
        """Return a record's predictions.

        Raises:
            StoreDamaged: they are not there, or not those that were written.
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
                f"the predictions of run {record.run.key} are not there",
                where=str(paths.folder(self.runs, record.run)),
                fix="bench fsck --repair, then bench run",
            )
        return load_predictions(beside, record)

    def set_aside(self, file: Path) -> Path:
        """Move a file, and all beside a record or a measurement, to `<root>/damaged/`, under names
        no other file has.

        Raises:
            OSError: it cannot be moved.
        """
        folder = self.root / "damaged" / file.parent.relative_to(self.root)
        make_folder(folder)
        token = secrets.token_hex(4)
        beside = (
            file.parent.glob(f"{glob.escape(file.stem)}.*") if file.suffix == paths.RECORD else ()
        )
        for one in (*(other for other in beside if other != file), file):
            one.rename(folder / f"{token}-{one.name}")
        return folder / f"{token}-{file.name}"

    def fsck(self, *, repair: bool = False) -> list[Damage]:
        """Check every file; see `fewbench.store.fsck.check`."""
        from fewbench.store.fsck import check

        return check(self, repair=repair)

    def _files(self) -> list[Path]:
        return paths.record_files(self.runs, self._unreadable)

    def _unreadable(self, error: OSError) -> None:
        self._met[unread_folder(error)] = None

    def _whole(self, files: Iterable[Path]) -> Iterator[tuple[Path, Record]]:
        for file in files:
            try:
                yield file, load(file)
            except FileNotFoundError:
                continue  # another process has just set it aside
            except BenchError as error:
                self._met[to_damage(file, error)] = None

    def _lookup(self, run: Run) -> tuple[Path | None, Record | None]:
        key = run_key(run)
        for file in paths.candidates(self.runs, run):
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

    def _place(self, run: Run) -> tuple[Path, Record | None]:
        """Return the file to write a run's record to, and the record it takes the place of."""
        file, old = self._lookup(run)
        own = paths.own(self.runs, run)
        if file is None and all(
            place.exists() for place in own
        ):  # the last has the whole key, so it was moved there
            self._report(Damage(own[-1], "the record of another run"))
        free = [place for place in own if not place.exists()]
        if file is None and not free:
            raise StoreUnwritable(
                "the record of another run stands here", where=str(own[-1]), fix="move it away"
            )
        return file or free[0], old

    def _report(self, damage: Damage) -> None:
        try:
            done = f"moved to {self.set_aside(damage.path)}"
        except OSError as error:
            done = f"could not be set aside ({error.strerror})"
        damage = replace(damage, done=done)
        self._met[damage] = None
        self.on_damage(damage)


def load(file: Path) -> Record:
    """Return the record in a file.

    Raises:
        StoreDamaged: it is not what was written.
        BenchError: a newer version wrote it, or it cannot be read.
        FileNotFoundError: it is not there.
    """
    data = read(file, "record")
    try:
        return from_json(data.decode("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise StoreDamaged(
            f"damaged record: {error}", where=str(file), fix="bench fsck --repair"
        ) from error


def load_predictions(file: Path, record: Record) -> Predictions:
    """Return the predictions in a file, which must be those that the record names.

    Raises:
        StoreDamaged: they are not, or not there.
        StoreUnwritable: they cannot be read.
    """
    try:
        data = read(file, "predictions", LARGEST_DATA)
    except FileNotFoundError as error:
        raise StoreDamaged(
            "its predictions are not there", where=str(file), fix="bench fsck --repair"
        ) from error
    if hashlib.sha256(data).hexdigest() != record.predictions:
        raise StoreDamaged(
            f"damaged predictions: not those that run {record.run.key} wrote",
            where=str(file),
            fix="bench fsck --repair, then bench run",
        )
    return from_bytes(data, str(file))
