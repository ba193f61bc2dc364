"""Measurements of stored runs: their cost, attacks on them, their loyalty to other runs.

A measurement is stored beside the record of its run, as `<record's stem>.<kind>[-<name>].json`; the
record does not change. It names the predictions that the run had then: if the run is done again
with another outcome, the measurement no longer fits. Larger results (pairs of texts, one per line)
are attached files, named by their contents. The measurement names them and is written last, so that
a kill leaves either the old or the new one complete. A file of its name without a hash
(`….attack-textfooler-paper.jsonl`) holds the items of an unfinished measurement.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path

from fewbench.errors import BenchError, StoreDamaged
from fewbench.io.atomic import finish_writing, remove, unwritable, write_whole
from fewbench.io.checked_json import read as read_stored
from fewbench.io.checked_json import seal, unseal
from fewbench.io.files import LARGEST_DATA
from fewbench.store import paths
from fewbench.store.damage import Damage, to_damage
from fewbench.store.parts import Environment
from fewbench.store.record import Record
from fewbench.store.store import Store, load
from fewbench.types import Json, Settings

SCHEMA = 1
MEND = "bench fsck --repair sets it aside; then measure again"
_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9-]+)?")
_ENDING, _SHA256 = re.compile(r"\.[a-z]+"), re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One thing measured of one run.

    Attributes:
        kind: what is measured, one word: `cost`, `attack`, `loyalty`.
        name: tells measurements of a kind apart (a recipe, another run's key); may be empty.
        run: the key of the run.
        predictions: the sha256 of the run's predictions file when it was measured.
        settings: all that determines the outcome: recipe, thresholds, resources by revision.
        scores: the outcome.
        environment: the machine and software.
        created: the time in UTC, ISO 8601.
        files: the sha256 of each attached file, by suffix (`.jsonl`).
    """

    kind: str
    name: str
    run: str
    predictions: str | None
    settings: Settings
    scores: Settings
    environment: Environment
    created: str
    files: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.what):
            allowed = "lower-case letters, digits, dashes"
            raise ValueError(f"'{self.what}' is not the name of a measurement: {allowed}")

    @property
    def what(self) -> str:
        """Kind and name as in its file's name: `cost`, `attack-textfooler-paper`."""
        return f"{self.kind}-{self.name}" if self.name else self.kind

    def fits(self, record: Record) -> bool:
        """True if it is of this record's outcome: a run done again may have another."""
        return self.run == record.run.key and self.predictions == record.predictions


def measured(
    record: Record,
    kind: str,
    name: str = "",
    *,
    settings: Settings,
    scores: Settings,
    environment: Environment,
) -> Measurement:
    """Return a measurement of a stored record, created now."""
    return Measurement(
        kind=kind,
        name=name,
        run=record.run.key,
        predictions=record.predictions,
        settings=settings,
        scores=scores,
        environment=environment,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def write(
    store: Store,
    record: Record,
    measurement: Measurement,
    attach: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a measurement beside its record and return its file.

    It replaces an earlier measurement of the same kind and name.

    Args:
        store: the store of the record.
        record: of the measured run.
        measurement: its `files` are filled in.
        attach: contents of attached files by suffix (`.jsonl`), written before it.

    Raises:
        BenchError: a value has no JSON form, or the record is not in the store.
        StoreUnwritable: it cannot be written; the old one stays, and nothing is left behind.
        StoreFull: the same, for lack of space.
    """
    attach = attach or {}
    hashes = {ending: hashlib.sha256(data).hexdigest() for ending, data in attach.items()}
    fresh = replace(measurement, files=hashes)
    data = to_bytes(fresh)
    file = paths.measurement(file_of(store, record), measurement.what)
    beside = {
        attached_file(file, ending, hashes[ending]): attached for ending, attached in attach.items()
    }
    added = [other for other in beside if not other.exists()]
    with finish_writing():
        try:
            for other, attached in beside.items():
                write_whole(other, attached)
            durable = write_whole(file, data)
        except OSError as error:
            for other in added:
                remove(other)
            raise unwritable(file, error) from error
        if durable:  # otherwise a power cut may bring back the measurement that needs them
            remove_others(file, fresh)
    return file


def to_bytes(measurement: Measurement) -> bytes:
    """Return the bytes of a measurement's file.

    Raises:
        BenchError: a value has no JSON form.
    """
    payload = {field.name: getattr(measurement, field.name) for field in fields(measurement)}
    payload["environment"] = measurement.environment.to_json()
    return seal(payload, f"the {measurement.what} of run {measurement.run}").encode()


def from_bytes(data: bytes, file: Path) -> Measurement:
    """Parse the bytes of a measurement's file; its attached files are not read.

    Raises:
        StoreDamaged: it is not what was written.
        BenchError: a newer version wrote it.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(str(error), file) from error
    payload = unseal(text, str(file), "measurement")
    schema = payload.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise BenchError(
            f"a newer version of fewbench made this measurement (schema {schema})",
            where=str(file),
            allowed=f"schemas up to {SCHEMA}",
            fix="pip install --upgrade fewbench",
        )
    try:
        return _parse(payload, file.name)
    except KeyError as error:
        raise _damaged(f"lacks {error}", file) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(str(error), file) from error


def _parse(payload: Json, file_name: str) -> Measurement:
    values = {field.name: payload[field.name] for field in fields(Measurement)}
    for name in ("settings", "scores", "environment", "files"):
        if not isinstance(values[name], dict):
            raise ValueError(f"its {name} are no table")
    values["environment"] = Environment.from_json(values["environment"])
    measurement = Measurement(**values)
    if not file_name.endswith(f".{measurement.what}{paths.RECORD}"):
        raise ValueError(f"it is of {measurement.what}")
    for ending, digest in measurement.files.items():
        if not (_ENDING.fullmatch(ending) and _SHA256.fullmatch(digest)):
            raise ValueError(f"a file cannot be attached as {ending!r}: {digest!r}")
    return measurement


def _damaged(problem: str, file: Path) -> StoreDamaged:
    return StoreDamaged(f"damaged measurement: {problem}", where=str(file), fix=MEND)


def read(file: Path) -> Measurement:
    """Return the measurement in a file, after checking its attached files.

    Raises:
        StoreDamaged: it is not what was written, or an attached file is not.
        StoreUnwritable: it cannot be read, or an attached file cannot.
        BenchError: a newer version wrote it.
        FileNotFoundError: it does not exist.
    """
    measurement = from_bytes(read_stored(file, "measurement"), file)
    for ending, digest in measurement.files.items():
        if not _has_hash(attached_file(file, ending, digest), digest):
            raise _damaged(f"its attached file ({ending}) is missing or altered", file)
    return measurement


def measurements(store: Store, record: Record, kind: str | None = None) -> Iterator[Measurement]:
    """Yield the measurements that fit a record, by file name.

    Damaged ones are reported (`store.on_damage`).

    Args:
        store: the store of the record.
        record: of the measured run.
        kind: yield only this kind.
    """
    for file in measurement_files(file_of(store, record)):
        try:
            measurement = read(file)
        except FileNotFoundError:
            continue  # another process has just set it aside
        except BenchError as error:
            store.on_damage(to_damage(file, error))
            continue
        if measurement.fits(record) and kind in (None, measurement.kind):
            yield measurement


class Shelf:
    """The measurements of all records of a store, whose folders are listed only once.

    Args:
        store: the store of the records.
        on_damage: called with each damaged measurement; the store's own listener by default.
    """

    def __init__(self, store: Store, on_damage: Callable[[Damage], None] | None = None) -> None:
        self._on_damage = on_damage or store.on_damage
        self._files: dict[str, list[Path]] = {}
        for folder, subfolders, names in os.walk(store.runs):
            subfolders.sort()
            for name in sorted(names):
                if name.endswith(paths.RECORD) and name.count(".") > 1 and _is_measurement(name):
                    stem = name.partition(".")[0]
                    self._files.setdefault(stem, []).append(Path(folder, name))

    def of(self, record: Record, kind: str | None = None) -> Iterator[Measurement]:
        """Yield the measurements that fit a record, each kind and name once; report damage."""
        run = record.run
        seen = set()
        for digits in paths.PREFIXES:
            for file in self._files.get(f"k{run.k}-s{run.seed}-{run.key[:digits]}", ()):
                measurement = self._read(file)
                if measurement is None or not measurement.fits(record) or measurement.what in seen:
                    continue
                seen.add(measurement.what)
                if kind in (None, measurement.kind):
                    yield measurement

    def _read(self, file: Path) -> Measurement | None:
        try:
            return read(file)
        except FileNotFoundError:
            return None  # another process has just set it aside
        except BenchError as error:
            self._on_damage(to_damage(file, error))
            return None


def _is_measurement(name: str) -> bool:
    """True if a file name is one of a measurement, and not of an attached file."""
    parts = paths.measured(name)
    return parts is not None and not parts["hash"]


def remove_others(file: Path, measurement: Measurement) -> None:
    """Remove files attached to an earlier measurement in `file` and not to this one."""
    attached = {attached_file(file, *pair) for pair in measurement.files.items()}
    for other in {*file.parent.glob(f"{file.stem}.*.*")} - attached:
        remove(other)


def attachment(store: Store, record: Record, measurement: Measurement, ending: str) -> Path:
    """Return the file with a suffix that is attached to a measurement."""
    file = paths.measurement(file_of(store, record), measurement.what)
    return attached_file(file, ending, measurement.files[ending])


def measurement_files(file: Path) -> list[Path]:
    """Return the files of the measurements of the record in `file`, sorted."""
    beside = file.parent.glob(f"{file.stem}.*{paths.RECORD}")
    return sorted(other for other in beside if _is_measurement(other.name))


def file_of(store: Store, record: Record) -> Path:
    """Return the file of a stored record.

    Raises:
        BenchError: no record of its run is in this store.
    """
    for file in paths.candidates(store.runs, record.run):
        try:
            if load(file).run.key == record.run.key:
                return file
        except (FileNotFoundError, StoreDamaged):
            continue
    raise BenchError(
        f"no record of run {record.run.key} is stored", where=str(store.root), fix="bench run"
    )


def attached_file(file: Path, ending: str, digest: str) -> Path:
    """Return the file with a hash that is attached to the measurement in `file`."""
    return file.with_name(f"{file.stem}.{digest[:8]}{ending}")


def _has_hash(file: Path, digest: str) -> bool:
    try:
        data = read_stored(file, "file attached to a measurement", LARGEST_DATA)
    except (FileNotFoundError, StoreDamaged):
        return False
    return hashlib.sha256(data).hexdigest() == digest
