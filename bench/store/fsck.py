"""Checks every file of a store, and on request sets the damaged aside and clears what a kill left."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fewbench.errors import BenchError, StoreDamaged
from fewbench.io.atomic import TEMPORARY
from fewbench.io.files import Folder, walk
from fewbench.store import paths
from fewbench.store.artifacts import ENDING, Artifacts, Older
from fewbench.store.damage import Damage, second, to_damage, unread_folder
from fewbench.store.measurement import read
from fewbench.store.record import run_key
from fewbench.store.store import Store, load, load_predictions

YOUNG_SECONDS = 60.0
"""A leftover younger than this may be a file that another process is writing now: it is let be."""

_ARTIFACT = re.compile(rf"\.?[0-9a-f]{{32}}{re.escape(ENDING)}(\..*{re.escape(TEMPORARY)})?")
"""The names of artifacts, and with a dot before them of those being written."""


def check(store: Store, *, repair: bool = False) -> list[Damage]:
    """Return all that is not as it should be: among the records by path, then among the artifacts.

    With `repair`, damaged files are moved to `<root>/damaged/`, never deleted, and leftovers older
    than a minute are removed. What cannot be read, records of newer versions and unknown files are
    left alone.
    """
    found: list[Damage] = []
    unread: list[Damage] = []
    first: dict[str, Path] = {}
    for folder in walk(store.runs, lambda error: unread.append(unread_folder(error))):
        found += _folder(store, folder, first)
    for folder in walk(store.artifacts.root, lambda error: unread.append(unread_folder(error))):
        found += _artifacts(folder, store.artifacts)
    found += unread
    return [_mend(store, damage) for damage in found] if repair else found


def _folder(store: Store, folder: Folder, first: dict[str, Path]) -> Iterator[Damage]:
    """Yield what is wrong in one folder of records. `first` tells the file of each run's record,
    and is added to.
    """
    place, names = folder.path, folder.files
    yield from (_folder_as_file(place / name) for name in folder.folders if _is_ours(name))
    measured = [name for name in names if paths.measured(name)]
    records = [name for name in names if paths.is_record(name)]
    wanted: set[str] = set()
    for name in records:
        try:
            damage, predictions = _record(store, place / name, first)
        except FileNotFoundError:
            continue
        except BenchError as error:  # which predictions were its own cannot be told, so all of its stem are left to it
            damage, predictions = to_damage(place / name, error), Path(name)
            wanted |= {other for other in names if other.startswith(f"{predictions.stem}.")}
        if predictions is not None:
            wanted.add(predictions.name)
        if damage is not None:
            yield damage
    yield from _measurements(place, [name for name in measured if name not in wanted])
    for name in sorted({*names} - {*records} - {*measured} - wanted):
        if not paths.OURS.match(name):  # whatever else lies there is never removed
            yield Damage(place / name, "not a file of the store", "unknown")
        elif name.endswith(TEMPORARY):
            yield Damage(place / name, "a write that was cut short", "leftover")
        else:
            yield Damage(place / name, "predictions that no record names", "leftover")


def _is_ours(name: str) -> bool:
    """Whether a file of a run may have this name."""
    return paths.is_record(name) or bool(paths.measured(name) or paths.OURS.match(name))


def _folder_as_file(folder: Path) -> Damage:
    return Damage(folder, "a folder under the name of a file")


def _measurements(folder: Path, names: list[str]) -> Iterator[Damage]:
    """Yield what is wrong with measurements and with what belongs to them, by name."""
    attached: set[str] = set()
    for name in (name for name in names if name.endswith(paths.RECORD)):
        home = folder / f"{name.partition('.')[0]}{paths.RECORD}"
        try:
            measurement = read(folder / name)
            attached |= {
                f"{name.removesuffix(paths.RECORD)}.{h[:8]}{e}"
                for e, h in measurement.files.items()
            }
            if not home.exists():
                yield Damage(folder / name, "a measurement of a run that has no record", "leftover")
            elif measurement.run != load(home).run.key:
                yield Damage(folder / name, "a measurement of another run")
        except FileNotFoundError:
            continue
        except BenchError as error:  # what is attached to it is set aside with it
            attached |= {
                other for other in names if other.startswith(name.removesuffix(paths.RECORD) + ".")
            }
            yield to_damage(folder / name, error)
    for name in names:
        parts = paths.measured(name)
        if parts is None or name.endswith(paths.RECORD) or name in attached:
            continue
        if parts["hash"] or not (folder / f"{parts['stem']}{paths.RECORD}").exists():
            yield Damage(folder / name, "belongs to a measurement that is not there", "leftover")
        elif not name.endswith(paths.UNDER_WAY):
            yield Damage(folder / name, "not a file of the store", "unknown")


def _record(store: Store, file: Path, first: dict[str, Path]) -> tuple[Damage | None, Path | None]:
    """Return what is wrong with a record, if anything, and its predictions file."""
    record = load(file)
    predictions = paths.beside(file, record)
    if record.run.key != run_key(record.run):
        return Damage(file, "a key that is not its run's"), predictions
    if not paths.belongs(store.runs, file, record):
        place = paths.folder(store.runs, record.run) / paths.names(record.run)[0]
        return Damage(file, f"not where its run is looked for, which is {place}"), predictions
    if first.setdefault(record.run.key, file) != file:
        return second(file, first[record.run.key]), predictions
    if predictions is None:
        return None, None
    try:
        load_predictions(predictions, record)
    except StoreDamaged as error:
        return Damage(file, error.problem), predictions
    return None, predictions


def _artifacts(folder: Folder, artifacts: Artifacts) -> Iterator[Damage]:
    """Yield what is wrong in the folder of artifacts, or in one below it, where none belongs."""
    own = (name for name in folder.folders if _ARTIFACT.fullmatch(name))
    yield from (_folder_as_file(folder.path / name) for name in own)
    for name in folder.files:
        file = folder.path / name
        written = name.startswith(".") == name.endswith(TEMPORARY) and folder.path == artifacts.root
        if not (written and _ARTIFACT.fullmatch(name)):
            yield Damage(file, "not a file of the store", "unknown")
        elif name.endswith(TEMPORARY):
            yield Damage(file, "a write that was cut short", "leftover")
        else:
            yield from _artifact(file, artifacts)


def _artifact(file: Path, artifacts: Artifacts) -> Iterator[Damage]:
    try:
        artifacts.read(file.name.removesuffix(ENDING))
    except Older as error:
        yield Damage(file, str(error), "unknown")
    except FileNotFoundError:
        return  # another process has just set it aside
    except BenchError as error:
        yield to_damage(file, error)


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
