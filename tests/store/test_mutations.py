"""Whatever happens to a file of a store is found, or makes no difference to anything that is read.

A store with runs, measurements and artifacts is harmed at random: bits flipped, bytes zeroed, files
cut, made longer, renamed, swapped, copied over others and removed. After each harm everything is
read through the store's own functions: what is read must be what was stored, and where something is
missing `fsck` must say so."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from stored import a_record, some_predictions

from fewbench.errors import BenchError
from fewbench.io.checked_json import joint_hash
from fewbench.store.measurement import attachment, measured, measurements, write
from fewbench.store.parts import Environment
from fewbench.store.store import Store

KEYS = tuple(joint_hash("model", number) for number in range(3))
RECORDS = tuple(a_record(seed=seed) for seed in (13, 21, 42))


def fill(store: Store) -> None:
    """Store three runs with predictions, two measurements of each, one with a file attached, and
    three artifacts.
    """
    for number, record in enumerate(RECORDS):
        store.save(record, some_predictions(number / 8))
        stored = store.get(record.run)
        assert stored is not None
        told: dict[str, Any] = {"settings": {}, "environment": Environment()}
        write(store, stored, measured(stored, "cost", scores={"bytes": number}, **told))
        attack = measured(stored, "attack", "paper", scores={"lost": number}, **told)
        write(store, stored, attack, {".jsonl": b"%d\n" % number})
    for number, key in enumerate(KEYS):
        store.artifacts.save(key, {"number": number}, save({"w": np.full(5, number, "f4")}))


def told_of(read: Callable[[], Any]) -> Any:
    """Return what a reader returns, or None where it refuses or there is nothing."""
    try:
        return read()
    except (BenchError, FileNotFoundError):
        return None


def seen(root: Path) -> dict[str, Any]:
    """Return all that is read of a store, by what was asked for; what is missing or refused has no
    entry.
    """
    store = Store(root, on_damage=lambda damage: None)
    found: dict[str, Any] = {}
    listed = Counter(record.run.key for record in store.records())
    for record in RECORDS:
        key = record.run.key
        found[f"listed {key}"] = listed.get(key)
        one = told_of(lambda key=key: store.find(key))
        found[f"record {key}"] = one
        if one is None:
            continue
        found[f"predictions {key}"] = told_of(lambda one=one: store.predictions(one).array.tolist())
        for each in told_of(lambda one=one: list(measurements(store, one))) or ():
            found[f"measured {key} {each.what}"] = each.scores
            for ending in each.files:
                file = attachment(store, one, each, ending)
                found[f"attached {key} {each.what}"] = file.read_bytes()
    found |= {f"artifact {key}": told_of(lambda key=key: store.artifacts.read(key)) for key in KEYS}
    return {name: value for name, value in found.items() if value is not None}


def flip(file: Path, others: list[Path], rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


def zero(file: Path, others: list[Path], rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    start = rng.randrange(len(data))
    size = min(rng.choice([1, 16, 4096]), len(data) - start)
    data[start : start + size] = bytes(size)
    file.write_bytes(data)


def cut(file: Path, others: list[Path], rng: random.Random) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: rng.randrange(len(data))])


def lengthen(file: Path, others: list[Path], rng: random.Random) -> None:
    file.write_bytes(file.read_bytes() + rng.choice([b"\0", b" ", b"\n", b"{}", b"\r\n"]))


def rename(file: Path, others: list[Path], rng: random.Random) -> None:
    letters = list(file.name)
    place = rng.randrange(len(letters))
    letters[place] = rng.choice("0123456789abcdef-.")
    target = file.with_name("".join(letters))
    if target.name not in (".", "..") and not target.exists():
        file.rename(target)


def swap(file: Path, others: list[Path], rng: random.Random) -> None:
    other = rng.choice(others)
    one, two = file.read_bytes(), other.read_bytes()
    file.write_bytes(two), other.write_bytes(one)


def overwrite(file: Path, others: list[Path], rng: random.Random) -> None:
    file.write_bytes(rng.choice(others).read_bytes())


def duplicate(file: Path, others: list[Path], rng: random.Random) -> None:
    folder = file.parent.with_name("another") if file.suffix == ".json" else file.parent / "deeper"
    folder.mkdir(exist_ok=True)
    shutil.copy(file, folder / file.name)


def lose(file: Path, others: list[Path], rng: random.Random) -> None:
    """Remove a file, unless nothing hangs on it: a user may remove what is built anew."""
    alone = file.parent.name == "artifacts" or file.name.endswith(".cost.json")
    if not alone:
        file.unlink()


HARMS = (flip, flip, flip, zero, cut, lengthen, rename, swap, overwrite, duplicate, lose)


def harmed(whole: Path, place: Path, number: int) -> tuple[str, list[Any]]:
    """Harm a copy of a store in a way that the number decides; return what was done, and what fsck
    finds.
    """
    rng = random.Random(number)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    files = sorted(file for file in place.rglob("*") if file.is_file())
    file = rng.choice(files)
    alike = [other for other in files if other != file and other.suffix == file.suffix]
    harm = rng.choice(HARMS)
    before = {other: other.read_bytes() for other in files}
    harm(file, alike, rng)
    after = {other: other.read_bytes() for other in place.rglob("*") if other.is_file()}
    what = f"harm {number}: {harm.__name__} {file.relative_to(place)}"
    return ("" if after == before else what), Store(place).fsck()


def check_harms(numbers: range, root: Path) -> Counter[str]:
    """Harm a store once for each number; count what was found, and what made no difference to
    anything.
    """
    whole, place = root / "whole", root / "harmed"
    fill(Store(whole))
    assert Store(whole).fsck() == []
    wanted = seen(whole)
    assert len(wanted) == 3 * 6 + 3  # nothing of what is stored goes unread here
    counts: Counter[str] = Counter()
    for number in numbers:
        what, found = harmed(whole, place, number)
        read = seen(place)
        wrong = {name: value for name, value in read.items() if value != wanted.get(name)}
        assert not wrong, f"{what}: read as something else: {wrong}"
        assert found or read == wanted, (
            f"{what}: lost, and fsck says nothing: {wanted.keys() - read.keys()}"
        )
        counts["found" if found else "harmless" if what else "nothing changed"] += 1
        if not found and what:
            print(what)
    print(f"\n{len(numbers)} harms: {dict(counts)}")
    return counts


def test_every_harm_is_found_or_makes_no_difference(tmp_path: Path):
    counts = check_harms(range(150), tmp_path)
    assert counts["found"] > 120


@pytest.mark.slow
def test_every_one_of_many_harms_is_found_or_makes_no_difference(tmp_path: Path):
    counts = check_harms(range(1000, 1600), tmp_path)
    assert counts["found"] > 500
