"""Checks every file of a store; on request moves damaged files away and removes leftovers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import BenchError, StoreDamaged
from fewbench.io.atomic import TEMPORARY
from fewbench.io.files import Folder, walk
from fewbench.store import paths
from fewbench.store.artifacts import ENDING, Artifacts, Older
from fewbench.store.claims import Claims
from fewbench.store.damage import Damage, second, to_damage, unread_folder
from fewbench.store.measurement import Measurement, attached_file, read
from fewbench.store.record import run_key
from fewbench.store.store import Store, load, load_predictions

YOUNG_SECONDS = 60.0
"""A leftover younger than this is left alone: another process may be writing it."""

_ARTIFACT = re.compile(rf"\.?[0-9a-f]{{32}}{re.escape(ENDING)}(\..*{re.escape(TEMPORARY)})?")
"""The names of artifacts, and with a dot before them of those that are being written."""


class _Checked(NamedTuple):
    """The findings about a file, and the names of the files that belong to it."""

    findings: list[Damage]
    belongings: set[str]


def check(store: Store, *, repair: bool = False) -> list[Damage]:
    """Return all findings: among the records by path, then the artifacts, then the claims.

    With `repair`, damaged files are moved to `<root>/damaged/`, never deleted, and leftovers older
    than a minute are removed. Unreadable files, records of newer versions and unknown files are
    left alone.
    """
    findings: list[Damage] = []
    unread: list[Damage] = []
    first: dict[str, Path] = {}
    for folder in walk(store.runs, lambda error: unread.append(unread_folder(error))):
        findings += _check_folder(store, folder, first)
    for artifacts in (store.artifacts, store.artifacts.unfinished):
        for folder in walk(artifacts.root, lambda error: unread.append(unread_folder(error))):
            findings += _check_artifacts(folder, artifacts)
    findings += _check_claims(store.claims())
    findings += unread
    return [_repair(store, damage) for damage in findings] if repair else findings


def _check_folder(store: Store, folder: Folder, first: dict[str, Path]) -> Iterator[Damage]:
    """Yield the findings in one folder of records.

    Args:
        store: of the folder.
        folder: below `runs/`.
        first: the file of each run's record so far, by key; those of this folder are added.
    """
    for name in filter(_is_store_file, folder.folders):
        yield _folder_as_file(folder.path / name)
    records = [name for name in folder.files if paths.is_record(name)]
    measured = [name for name in folder.files if paths.measured(name)]
    belongings: set[str] = set()
    for name in records:
        checked = _check_record(store, folder, name, first)
        belongings |= checked.belongings
        yield from checked.findings
    unclaimed = [name for name in measured if name not in belongings]
    yield from _check_measurements(folder.path, unclaimed)
    for name in sorted({*folder.files} - {*records} - {*measured} - belongings):
        yield _stray(folder.path / name)


def _is_store_file(name: str) -> bool:
    """True if a file of the store may have this name."""
    return paths.is_record(name) or bool(paths.measured(name) or paths.OURS.match(name))


def _folder_as_file(folder: Path) -> Damage:
    return Damage(folder, "a folder under the name of a file")


def _stray(file: Path) -> Damage:
    """Return the finding about a file that no record or measurement names."""
    if not paths.OURS.match(file.name):
        return Damage(file, "not a file of the store", "unknown")
    if file.name.endswith(TEMPORARY):
        return Damage(file, "a write that was cut short", "leftover")
    return Damage(file, "predictions that no record names", "leftover")


def _check_record(store: Store, folder: Folder, name: str, first: dict[str, Path]) -> _Checked:
    """Check a record and its predictions file."""
    file = folder.path / name
    try:
        damage, predictions = _damage_of_record(store, file, first)
    except FileNotFoundError:
        return _Checked([], set())
    except BenchError as error:  # any file of its stem may be its predictions
        beside = {other for other in folder.files if other.startswith(f"{file.stem}.")}
        return _Checked([to_damage(file, error)], beside)
    findings = [] if damage is None else [damage]
    return _Checked(findings, set() if predictions is None else {predictions.name})


def _damage_of_record(
    store: Store, file: Path, first: dict[str, Path]
) -> tuple[Damage | None, Path | None]:
    """Return the damage of a record, if any, and its predictions file."""
    record = load(file)
    predictions = paths.beside(file, record)
    if record.run.key != run_key(record.run):
        return Damage(file, "a key that is not its run's"), predictions
    if not paths.belongs(store.runs, file, record):
        usual = paths.folder(store.runs, record.run) / paths.names(record.run)[0]
        return Damage(file, f"not where its run is looked for, which is {usual}"), predictions
    if first.setdefault(record.run.key, file) != file:
        return second(file, first[record.run.key]), predictions
    if predictions is None:
        return None, None
    try:
        load_predictions(predictions, record)
    except StoreDamaged as error:
        return Damage(file, error.problem), predictions
    return None, predictions


def _check_measurements(folder: Path, names: list[str]) -> Iterator[Damage]:
    """Yield the findings about measurements and their attached files, by name."""
    attached: set[str] = set()
    for name in names:
        if name.endswith(paths.RECORD):
            checked = _check_measurement(folder / name, names)
            attached |= checked.belongings
            yield from checked.findings
    for name in names:
        if not name.endswith(paths.RECORD) and name not in attached:
            yield from _check_unattached(folder / name)


def _check_measurement(file: Path, names: list[str]) -> _Checked:
    """Check a measurement. `names` are those of its folder's measurements and attached files."""
    beside = {name for name in names if name.startswith(f"{file.stem}.")}
    try:
        measurement = read(file)
        damage = _damage_of_home(file, measurement)
    except FileNotFoundError:
        return _Checked([], beside)  # another process has just set it aside
    except BenchError as error:  # any file of its stem may be attached to it
        return _Checked([to_damage(file, error)], beside)
    attached = {attached_file(file, *pair).name for pair in measurement.files.items()}
    return _Checked([] if damage is None else [damage], attached)


def _damage_of_home(file: Path, measurement: Measurement) -> Damage | None:
    """Return the damage of a measurement whose record is missing or another run's."""
    record = file.with_name(f"{file.name.partition('.')[0]}{paths.RECORD}")
    if not record.exists():
        return Damage(file, "a measurement of a run that has no record", "leftover")
    if measurement.run != load(record).run.key:
        return Damage(file, "a measurement of another run")
    return None


def _check_unattached(file: Path) -> Iterator[Damage]:
    """Yield the finding about a file that is named as an attached one, and is not attached."""
    parts = paths.measured(file.name)
    if parts is None:
        return
    if parts["hash"] or not file.with_name(f"{parts['stem']}{paths.RECORD}").exists():
        yield Damage(file, "belongs to a measurement that does not exist", "leftover")
    elif not file.name.endswith(paths.UNDER_WAY):
        yield Damage(file, "not a file of the store", "unknown")


def _check_artifacts(folder: Folder, artifacts: Artifacts) -> Iterator[Damage]:
    """Yield the findings in the folder of artifacts, or in one below it, where none belongs."""
    for name in folder.folders:
        if _ARTIFACT.fullmatch(name):
            yield _folder_as_file(folder.path / name)
    for name in folder.files:
        file = folder.path / name
        temporary = name.endswith(TEMPORARY)
        expected = folder.path == artifacts.root and name.startswith(".") == temporary
        if not (expected and _ARTIFACT.fullmatch(name)):
            yield Damage(file, "not a file of the store", "unknown")
        elif temporary:
            yield Damage(file, "a write that was cut short", "leftover")
        else:
            yield from _check_artifact(file, artifacts)


def _check_artifact(file: Path, artifacts: Artifacts) -> Iterator[Damage]:
    try:
        artifacts.read(file.name.removesuffix(ENDING))
    except Older as error:
        yield Damage(file, str(error), "unknown")
    except FileNotFoundError:
        return  # another process has just set it aside
    except BenchError as error:
        yield to_damage(file, error)


def _check_claims(claims: Claims) -> Iterator[Damage]:
    """Yield the findings in the folder of claims.

    A claim of another machine's process is never one: nobody here knows whether it has ended.
    """
    for claim in claims.all():
        if claim.holder is not None and claim.holder.is_gone:
            yield Damage(claim.file, f"a claim of {claim.by}, which has ended", "leftover")
    for file in claims.strangers():
        yield Damage(file, "not a file of the store", "unknown")


def _repair(store: Store, damage: Damage) -> Damage:
    """Repair what can be repaired; return the damage with what was done."""
    try:
        if damage.severity == "damage":
            return replace(damage, done=f"moved to {store.set_aside(damage.path)}")
        if damage.severity == "leftover":
            if time.time() - damage.path.stat().st_mtime < YOUNG_SECONDS:
                return replace(damage, done="left: less than a minute old, perhaps being written")
            damage.path.unlink()
            return replace(damage, done="removed")
    except OSError as error:
        return replace(damage, done=f"not repaired ({error.strerror})")
    return damage
