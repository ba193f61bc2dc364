"""What is damaged is named, set aside and never read; fsck finds it, and what is left over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from stored import a_record, same, some_predictions

from fewbench.errors import BenchError, StoreDamaged
from fewbench.store import fsck
from fewbench.store.record import SCHEMA
from fewbench.store.store import Store


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")


class TestDamage:
    @pytest.mark.parametrize("harm", [cut, flip, no_text])
    def test_a_damaged_record_is_named_set_aside_and_absent(
        self, store: Store, harm: Callable[[Path], None]
    ):
        record = a_record()
        file = store.save(record, some_predictions())
        store.save(a_record(seed=21), some_predictions())
        harm(file)
        assert [other.run.seed for other in store.records()] == [21]
        assert [damage.path for damage in store.damaged] == [file]
        with pytest.warns(UserWarning, match=file.name):
            assert store.get(record.run) is None
        assert not file.exists()
        aside = list((store.root / "damaged").rglob("*-k16*"))
        assert sorted(one.suffix for one in aside) == [".json", ".safetensors"]  # never deleted
        assert store.get(record.run) is None and store.fsck() == []
        store.save(record, some_predictions())
        assert store.get(record.run) is not None

    def test_saving_over_a_damaged_record_sets_it_aside(self, store: Store):
        heard: list[str] = []
        store.on_damage = lambda damage: heard.append(str(damage))
        for _ in range(3):
            no_text(store.save(a_record(), None))
        store.save(a_record(), None)
        assert len(heard) == len(list((store.root / "damaged").rglob("*.json"))) == 3
        assert "moved to" in heard[0]
        assert store.fsck() == []

    def test_windows_line_ends_are_no_damage(self, store: Store):
        file = store.save(a_record(), None)
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
        assert store.get(a_record().run) is not None

    def test_swapped_predictions(self, store: Store):
        for seed in (13, 21):
            store.save(a_record(seed=seed), some_predictions(seed / 100))
        one, two = store.root.rglob("*.safetensors")
        between = one.with_suffix(".between")
        one.rename(between), two.rename(one), between.rename(two)
        for record in store.records():
            with pytest.raises(StoreDamaged, match="not what run"):
                store.predictions(record)
        assert [damage.severity for damage in store.fsck()] == ["damage"] * 2

    @pytest.mark.parametrize("harm", [cut, flip, no_text, Path.unlink])
    def test_damaged_predictions(self, store: Store, harm: Callable[[Path], None]):
        store.save(a_record(), some_predictions())
        harm(next(store.root.rglob("*.safetensors")))
        with pytest.raises(StoreDamaged):
            store.predictions(store.find(a_record().run.key))
        assert [damage.severity for damage in store.fsck()] == ["damage"]
        assert all("moved to" in damage.done for damage in store.fsck(repair=True))
        assert store.fsck() == [] and store.get(a_record().run) is None

    def test_predictions_that_do_not_fit_their_ids(self):
        from fewbench.store.predictions import from_bytes, to_bytes

        whole = to_bytes(some_predictions(), a_record().run)
        for data in (
            b"",
            whole[:20],
            whole[:-1],
            whole.replace(b"test-", b"rest-"),
            b"\xff" * 8 + whole[8:],
        ):
            with pytest.raises(StoreDamaged, match="damaged predictions"):
                from_bytes(data, "here")

    def test_newer_record_is_neither_damage_nor_overwritten(self, store: Store):
        file = store.save(replace(a_record(), schema=SCHEMA + 1), None)
        before = file.read_bytes()
        for act in (lambda: store.get(a_record().run), lambda: store.save(a_record(), None)):
            with pytest.raises(BenchError, match="newer version"):
                act()
        assert list(store.records()) == []
        (found,) = store.fsck(repair=True)
        assert found.severity == "newer" and not found.serious and file.read_bytes() == before


class TestFsck:
    def test_moved_record(self, store: Store):
        file = store.save(a_record(), some_predictions())
        file.parent.rename(file.parent.parent.parent / "tiny")
        (damage,) = store.fsck()
        assert damage.serious and "not where its run is looked for" in damage.reason

    def test_leftovers_and_strangers(self, store: Store):
        file = store.save(a_record(), some_predictions())
        orphan = next(store.root.rglob("*.safetensors")).rename(
            file.with_name("k16-s13-00000000.00000000.safetensors")
        )
        store.save(a_record(), some_predictions())
        temporary = file.with_name(f".{file.name}.77-abcdef00.tmp")
        temporary.write_text("{")
        strangers = [
            file.with_name(name)
            for name in ("notes.txt", ".gitkeep", "model.safetensors", ".mine.tmp")
        ]
        for stranger in strangers:
            stranger.write_text("")
        assert {(one.path, one.severity) for one in store.fsck()} == {
            (orphan, "leftover"),
            (temporary, "leftover"),
            *((stranger, "unknown") for stranger in strangers),
        }
        assert sum("perhaps being written" in one.done for one in store.fsck(repair=True)) == 2
        for young in (orphan, temporary):
            os.utime(young, (0, time.time() - fsck.YOUNG_SECONDS - 1))
        assert sum(one.done == "removed" for one in store.fsck(repair=True)) == 2
        assert {one.path for one in store.fsck()} == set(strangers)
        assert not any(one.serious for one in store.fsck())
        assert same(store.predictions(store.find(a_record().run.key)), some_predictions())

    def test_repair_takes_the_predictions_along_with_a_damaged_record(self, store: Store):
        file = store.save(a_record(), some_predictions())
        store.save(a_record(seed=21), some_predictions())
        cut(file)
        (damage,) = store.fsck()
        assert damage.path == file and damage.serious and damage.done == ""
        (damage,) = store.fsck(repair=True)
        assert damage.done.startswith(f"moved to {store.root / 'damaged'}")
        assert store.fsck() == [] and len(list(store.records())) == 1
        assert len(list((store.root / "damaged").rglob("*.*"))) == 2
