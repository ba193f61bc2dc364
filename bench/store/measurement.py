"""What is measured of a stored run after the fact: its cost, an attack on it, its loyalty to
another run.

A measurement stands beside the record it is of, `<record's stem>.<kind>[-<name>].json`, and the
record is not touched. It names the predictions that the run had then: where a run was done again
with another outcome, what was measured of the old one no longer fits. Larger things (pairs of
texts, one a line) are attached: files named by their contents, which the measurement, written last,
names. So a kill leaves the old measurement or the new, whole. A file of its name without hash
(`….attack-textfooler-paper.jsonl`) is free for what a measurement under way has got so far.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

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

SCHEMA = 1
MEND = "bench fsck --repair sets it aside; then measure again"
_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9-]+)?")
_ENDING, _SHA256 = re.compile(r"\.[a-z]+"), re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One thing measured of one run.

    Attributes:
        kind: what is measured, one word: `cost`, `attack`, `loyalty`.
        name: which of the kind (a recipe, another run's key); may be empty.
        run: the key of the run.
        predictions: the sha256 of the run's predictions file when it was measured.
        settings: what determines the outcome: recipe, thresholds, resources by their revisions.
        scores: what came out.
        environment: device, threads, load, versions (`fewbench.runner.environment.environment`).
        created: when, in UTC, ISO 8601.
        files: by ending (`.jsonl`) the sha256 of each file attached.
    """

    kind: str
    name: str
    run: str
    predictions: str | None
    settings: Mapping[str, Any]
    scores: Mapping[str, Any]
    environment: Environment
    created: str
    files: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.what):
            raise ValueError(
                f"'{self.what}' is no kind and name of a measurement: small letters, digits and dashes"
            )

    @property
    def what(self) -> str:
        """Kind and name as its file has them: `cost`, `attack-textfooler-paper`."""
        return f"{self.kind}-{self.name}" if self.name else self.kind

    def fits(self, record: Record) -> bool:
        """Whether it is of this record's outcome: a run done again may have another."""
        return self.run == record.run.key and self.predictions == record.predictions


def measured(
    record: Record,
    kind: str,
    name: str = "",
    *,
    settings: Mapping[str, Any],
    scores: Mapping[str, Any],
    environment: Environment,
) -> Measurement:
    """Return a measurement of a stored record, made now."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Measurement(
        kind, name, record.run.key, record.predictions, settings, scores, environment, now
    )


def write(
    store: Store,
    record: Record,
    measurement: Measurement,
    attach: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a measurement beside its record, in the place of an earlier one of its kind and name;
    return its file.

    Args:
        store: where the record stands.
        record: what was measured.
        measurement: what came out; its `files` are filled in.
        attach: contents by ending (`.jsonl`), written before it.

    Raises:
        BenchError: it holds what JSON cannot, or the record is not in the store.
        StoreUnwritable: it cannot be written; the old one stands, and nothing is left behind.
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
        if durable:  # else a power cut may bring back the measurement that needs them
            remove_others(file, fresh)
    return file


def to_bytes(measurement: Measurement) -> bytes:
    """Return what a measurement's file holds.

    Raises:
        BenchError: it holds what JSON cannot.
    """
    payload = {field.name: getattr(measurement, field.name) for field in fields(measurement)}
    payload["environment"] = measurement.environment.to_json()
    return seal(payload, f"the {measurement.what} of run {measurement.run}").encode()


def from_bytes(data: bytes, file: Path) -> Measurement:
    """Return the measurement that the bytes of a file are; what is attached to it is not looked at.

    Raises:
        StoreDamaged: it is not what was written.
        BenchError: a newer version wrote it.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StoreDamaged(f"damaged measurement: {error}", where=str(file), fix=MEND) from error
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
        values = {field.name: payload[field.name] for field in fields(Measurement)}
        for name in ("settings", "scores", "environment", "files"):
            if not isinstance(values[name], dict):
                raise ValueError(f"its {name} are no table")
        values["environment"] = Environment.from_json(values["environment"])
        measurement = Measurement(**values)
        if not file.name.endswith(f".{measurement.what}{paths.RECORD}"):
            raise ValueError(f"it is of {measurement.what}")
        for ending, digest in measurement.files.items():
            if not (_ENDING.fullmatch(ending) and _SHA256.fullmatch(digest)):
                raise ValueError(f"nothing can be attached as {ending!r}: {digest!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise StoreDamaged(f"damaged measurement: {problem}", where=str(file), fix=MEND) from error
    return measurement


def read(file: Path) -> Measurement:
    """Return the measurement in a file, and check what is attached to it.

    Raises:
        StoreDamaged: it is not what was written, or an attached file is not.
        StoreUnwritable: it cannot be read, or an attached file cannot.
        BenchError: a newer version wrote it.
        FileNotFoundError: it is not there.
    """
    measurement = from_bytes(read_stored(file, "measurement"), file)
    for ending, digest in measurement.files.items():
        if not _has(attached_file(file, ending, digest), digest):
            problem = f"what is attached to it ({ending}) is not there, or not what was written"
            raise StoreDamaged(f"damaged measurement: {problem}", where=str(file), fix=MEND)
    return measurement


def measurements(store: Store, record: Record, kind: str | None = None) -> Iterator[Measurement]:
    """Yield the whole measurements of a record that fit it, by file name. Others are reported
    (`store.on_damage`).

    Args:
        store: where the record stands.
        record: of which run.
        kind: only this kind.
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
    """The measurements of a whole store, listed once: what looks at many records need not list
    their folders again.

    Args:
        store: where the records stand.
        on_damage: hears of what is damaged; the store's listener unless given.
    """

    def __init__(self, store: Store, on_damage: Callable[[Damage], None] | None = None) -> None:
        self._on_damage = on_damage or store.on_damage
        self._files: dict[str, list[Path]] = {}
        for place, folders, names in os.walk(store.runs):
            folders.sort()
            for name in sorted(names):
                stem, dot, rest = name.partition(".")
                if dot and "." in rest and name.endswith(paths.RECORD) and _is_own(name):
                    self._files.setdefault(stem, []).append(Path(place, name))

    def of(self, record: Record, kind: str | None = None) -> Iterator[Measurement]:
        """Yield the whole measurements of a record that fit it, each kind and name once; others are
        reported.
        """
        run, seen = record.run, set()
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


def _is_own(name: str) -> bool:
    """Whether a name is a measurement's own, and not of what is attached to one."""
    parts = paths.measured(name)
    return parts is not None and not parts["hash"]


def remove_others(file: Path, measurement: Measurement) -> None:
    """Remove what was attached to an earlier measurement in `file`, and is not to this one."""
    attached = {attached_file(file, *pair) for pair in measurement.files.items()}
    for left in {*file.parent.glob(f"{file.stem}.*.*")} - attached:
        remove(left)


def attachment(store: Store, record: Record, measurement: Measurement, ending: str) -> Path:
    """Return the file that is attached to a measurement under an ending."""
    file = paths.measurement(file_of(store, record), measurement.what)
    return attached_file(file, ending, measurement.files[ending])


def measurement_files(file: Path) -> list[Path]:
    """Return the files of the measurements of the record in `file`, sorted."""
    beside = file.parent.glob(f"{file.stem}.*{paths.RECORD}")
    return sorted(other for other in beside if _is_own(other.name))


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
    """Return where what is attached to the measurement in `file` stands."""
    return file.with_name(f"{file.stem}.{digest[:8]}{ending}")


def _has(file: Path, digest: str) -> bool:
    try:
        return (
            hashlib.sha256(
                read_stored(file, "what is attached to a measurement", LARGEST_DATA)
            ).hexdigest()
            == digest
        )
    except (FileNotFoundError, StoreDamaged):
        return False
