"""Checks every file of a store, and on request sets the damaged aside and clears what a kill left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fewbench import layout
from fewbench.durable import TEMPORARY
from fewbench.errors import BenchError, StoreDamaged
from fewbench.measurement import read
from fewbench.record import run_key
from fewbench.store import Damage, Store, load, load_predictions, to_damage

YOUNG_SECONDS = 60.0
"""A leftover younger than this may be a file that another process is writing now: it is let be."""


def check(store: Store, *, repair: bool = False) -> list[Damage]:
    """Return all that is not as it should be, by path.

    With `repair`, damaged files are moved to `<root>/damaged/`, never deleted, and leftovers older than a minute are
    removed. Records of newer versions and unknown files are left alone.
    """
    found: list[Damage] = []
    for place, folders, files in os.walk(store.runs):
        folders.sort()
        found += _folder(store, Path(place), sorted(files))
    return [_mend(store, damage) for damage in found] if repair else found


def _folder(store: Store, folder: Path, names: list[str]) -> Iterator[Damage]:
    """Yield what is wrong in one folder."""
    measured = [name for name in names if layout.measured(name)]
    records = [name for name in sorted({*names} - {*measured}) if _is_record(name)]
    wanted: set[str] = set()
    for name in records:
        try:
            damage, predictions = _record(store, folder / name)
        except FileNotFoundError:
            continue
        except BenchError as error:  # which predictions were its own cannot be told, so all of its stem are left to it
            damage, predictions = to_damage(folder / name, error), Path(name)
            wanted |= {other for other in names if other.startswith(f"{predictions.stem}.")}
        if predictions is not None:
            wanted.add(predictions.name)
        if damage is not None:
            yield damage
    yield from _measurements(folder, [name for name in measured if name not in wanted])
    for name in sorted({*names} - {*records} - {*measured} - wanted):
        if not layout.OURS.match(name):  # whatever else lies there is never removed
            yield Damage(folder / name, "not a file of the store", "unknown")
        elif name.endswith(TEMPORARY):
            yield Damage(folder / name, "a write that was cut short", "leftover")
        else:
            yield Damage(folder / name, "predictions that no record names", "leftover")


def _is_record(name: str) -> bool:
    return name.endswith(layout.RECORD) and not name.startswith(".")


def _measurements(folder: Path, names: list[str]) -> Iterator[Damage]:
    """Yield what is wrong with measurements and with what belongs to them, by name."""
    attached: set[str] = set()
    for name in (name for name in names if name.endswith(layout.RECORD)):
        home = folder / f"{name.partition('.')[0]}{layout.RECORD}"
        try:
            measurement = read(folder / name)
            attached |= {f"{name.removesuffix(layout.RECORD)}.{h[:8]}{e}" for e, h in measurement.files.items()}
            if not home.exists():
                yield Damage(folder / name, "a measurement of a run that has no record", "leftover")
            elif measurement.run != load(home).run.key:
                yield Damage(folder / name, "a measurement of another run")
        except FileNotFoundError:
            continue
        except BenchError as error:  # what is attached to it is set aside with it
            attached |= {other for other in names if other.startswith(name.removesuffix(layout.RECORD) + ".")}
            yield to_damage(folder / name, error)
    for name in names:
        parts = layout.measured(name)
        if parts is None or name.endswith(layout.RECORD) or name in attached:
            continue
        if parts["hash"] or not (folder / f"{parts['stem']}{layout.RECORD}").exists():
            yield Damage(folder / name, "belongs to a measurement that is not there", "leftover")


def _record(store: Store, file: Path) -> tuple[Damage | None, Path | None]:
    """Return what is wrong with a record, if anything, and its predictions file."""
    record = load(file)
    predictions = layout.beside(file, record)
    if record.run.key != run_key(record.run):
        return Damage(file, "a key that is not its run's"), predictions
    if not layout.belongs(store.runs, file, record):
        place = layout.folder(store.runs, record.run) / layout.names(record.run)[0]
        return Damage(file, f"not where its run is looked for, which is {place}"), predictions
    if predictions is None:
        return None, None
    try:
        load_predictions(predictions, record)
    except StoreDamaged as error:
        return Damage(file, error.problem), predictions
    return None, predictions


def _mend(store: Store, damage: Damage) -> Damage:
    try:
        if damage.severity == "damage":
            return replace(damage, done=f"moved to {store.set_aside(damage.path)}")
        if damage.severity == "leftover":
            if time.time() - damage.path.stat().st_mtime < YOUNG_SECONDS:
                return replace(damage, done="left: less than a minute old, perhaps being written")
            damage.path.unlink()
            return replace(damage, done="removed")
    except OSError as error:
        return replace(damage, done=f"not mended ({error.strerror})")
    return damage
