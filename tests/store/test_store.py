"""The store: what is written is read back whole, under whatever names."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from stored import a_record, files, same, some_predictions

from fewbench.errors import BenchError, StoreDamaged
from fewbench.store import paths
from fewbench.store.parts import Selection, Trial
from fewbench.store.record import run_key, to_json
from fewbench.store.store import Store, StoreUnwritable
from fewbench.types import ModelRef, Predictions, Run


class TestRoundTrip:
    def test_record_and_predictions(self, store: Store):
        record, predictions = a_record(), some_predictions()
        file = store.save(record, predictions)
        found = store.get(record.run)
        assert found is not None
        assert replace(found, predictions=None) == record
        assert same(store.predictions(found), predictions)
        key = record.run.key[:8]
        assert file == store.root / f"runs/sst-2@lm-bff/kd/tiny/k16-s13-{key}.json"
        assert [name.partition(".")[0] for name in files(store)] == [f"k16-s13-{key}"] * 2
        assert store.fsck() == []

    def test_failed_run(self, store: Store):
        record = replace(a_record(), status="failed", error="no memory", scores={})
        store.save(record, None)
        assert store.get(record.run) == record
        with pytest.raises(BenchError, match="no memory"):
            store.predictions(record)
        assert store.fsck() == []

    def test_regression_and_odd_ids(self, store: Store):
        predictions = Predictions(("b", "a-7", "a-07"), values=np.array([0.5, -1e-30, 5.0], "f4"))
        store.save(a_record(), predictions)
        assert same(store.predictions(store.find(a_record().run.key)), predictions)

    @given(
        st.lists(
            st.sampled_from(["test-0", "test-1", "test-2", "test-01", "test", "", "-", "x-٣"]),
            unique=True,
        )
    )
    def test_any_ids(self, ids: list[str]):
        from fewbench.store.predictions import from_bytes, to_bytes

        predictions = Predictions(tuple(ids), values=np.arange(len(ids), dtype="f4"))
        assert same(from_bytes(to_bytes(predictions, a_record().run), "here"), predictions)

    def test_predictions_file_is_safetensors_and_always_the_same_bytes(
        self, store: Store, tmp_path: Path
    ):
        record = a_record()
        store.save(record, some_predictions(count=872))
        other = Store(tmp_path / "other")
        other.save(record, some_predictions(count=872))
        (one,), (two,) = (list(place.root.rglob("*.safetensors")) for place in (store, other))
        assert one.read_bytes() == two.read_bytes()
        with safe_open(one, "np") as opened:
            assert opened.get_tensor("probabilities").shape == (872, 2)
            assert opened.metadata()["key"] == record.run.key
            assert opened.metadata()["test_fingerprint"] == record.run.test_fingerprint
            assert opened.metadata()["ids"] == '{"prefix": "test-", "start": 0, "count": 872}'

    def test_a_run_redone_takes_the_place_of_the_old_one(self, store: Store):
        record = a_record()
        store.save(record, some_predictions(0.1))
        store.save(replace(record, scores={"test": {"accuracy": 1.0}}), some_predictions(0.2))
        found = store.find(record.run.key[:4])
        assert found.scores == {"test": {"accuracy": 1.0}}
        assert same(store.predictions(found), some_predictions(0.2))
        assert len(files(store)) == 2

    def test_missing_root(self, store: Store):
        assert list(store.records()) == []
        assert store.get(a_record().run) is None
        assert store.fsck() == []
        assert not store.root.exists()

    def test_read_only_root(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        store.save(a_record(), None)
        record = a_record(task="another")

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "mkdir", refuse)  # the superuser may write anywhere
        with pytest.raises(StoreUnwritable, match="nothing was written: Permission denied"):
            store.save(record, None)
        assert store.get(a_record().run) is not None and len(list(store.records())) == 1

    def test_root_is_a_file(self, tmp_path: Path):
        (tmp_path / "results").write_text("")
        store = Store(tmp_path / "results")
        assert list(store.records()) == [] and store.get(a_record().run) is None
        with pytest.raises(StoreUnwritable):
            store.save(a_record(), some_predictions())

    def test_records_come_by_path(self, store: Store):
        for seed in (42, 13, 100):
            for task in ("b", "a"):
                store.save(a_record(task=task, seed=seed), None)
        assert [record.run.task for record in store.records()] == ["a"] * 3 + ["b"] * 3
        order = [record.run for record in store.records()]
        assert order == [record.run for record in Store(store.root).records()]

    def test_store_goes_to_worker_processes(self, store: Store):
        store.on_damage = lambda damage: None
        assert pickle.loads(pickle.dumps(store)).root == store.root


class TestNames:
    HOSTILE = (
        "../../x",
        "/etc/passwd",
        "",
        ".",
        "..",
        "a/b/c",
        "a\\b",
        "x" * 5000,
        "模型",
        "a\0b",
        "-rf",
        ".hidden",
        "\udcff",
    )

    @pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
    def test_no_name_leaves_the_root(self, store: Store, name: str):
        record = a_record(task=name, method=name, student=ModelRef(name, "", "a"))
        file = store.save(record, some_predictions())
        assert file.resolve().parents[4] == store.root.resolve()
        assert all(not part.startswith((".", "-")) for part in file.relative_to(store.root).parts)
        assert store.get(record.run) is not None and store.fsck() == []
        assert len(list(store.records())) == 1

    @given(st.text(max_size=300))
    def test_any_text_gives_a_folder_name(self, name: str):
        slug = paths.slug(name)
        assert 0 < len(slug) <= 80 and slug.isascii() and not set(slug) & set('/\\:*?"<>|\0 ')
        assert not slug.startswith((".", "-")) and not slug.endswith(".")

    def test_usual_names_stay_as_they_are(self):
        usual = ["sst-2@lm-bff", "head-prune+kd+ptq", "roberta-large", "none", "bert_v1.5"]
        assert [paths.slug(name) for name in usual] == usual
        assert paths.slug("google-bert/bert-base") == "google-bert--bert-base"

    def test_a_record_is_found_under_another_name_of_the_same_weights(self, store: Store):
        store.save(a_record(), some_predictions(0.1))
        renamed = a_record(student=ModelRef("renamed", "/elsewhere", "a" * 16))
        assert store.get(renamed.run) == store.find(renamed.run.key)
        store.save(renamed, some_predictions(0.2))
        assert len(files(store)) == 2 and store.fsck() == []
        assert same(store.predictions(store.find(renamed.run.key)), some_predictions(0.2))

    def test_clash_of_short_keys(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        def clashing(run: Run) -> str:
            return "0" * 20 + hashlib.sha256(run.fingerprint.encode()).hexdigest()[:12]

        for module in ("store", "paths", "fsck"):
            monkeypatch.setattr(f"fewbench.store.{module}.run_key", clashing)
        runs = [a_record(fingerprint=letter) for letter in "abc"]
        for number, record in enumerate(runs[:2]):
            store.save(record, some_predictions(number / 4))
        assert sorted(len(paths.digits(file)) for file, _ in store.filed()) == [8, 16]
        store.save(runs[2], some_predictions(0.5))
        store.save(runs[0], some_predictions(0.0))
        assert len(files(store)) == 6 and store.fsck() == []
        for number, record in enumerate(runs):
            found = store.get(record.run)
            assert found is not None and found.run.fingerprint == record.run.fingerprint
            assert same(store.predictions(found), some_predictions(number / 4))
        with pytest.raises(BenchError, match="several runs begin with '0000'"):
            store.find("0000")
        assert store.find(clashing(runs[1].run)).run.fingerprint == "b"


class TestFind:
    def test_prefixes(self, store: Store):
        record = a_record()
        store.save(record, None)
        for digits in (4, 7, 8, 9, 32):
            assert store.find(record.run.key[:digits].upper()).run == record.run

    def test_none_names_the_nearest(self, store: Store):
        store.save(a_record(), None)
        key = a_record().run.key
        with pytest.raises(BenchError, match="no run begins with") as caught:
            store.find(key[:5] + ("0" if key[5] != "0" else "1"))
        assert caught.value.nearest == [key[:8]]

    @pytest.mark.parametrize("prefix", ["", "abc", "xyzw", "../..", "a" * 33])
    def test_what_is_no_key(self, store: Store, prefix: str):
        with pytest.raises(BenchError, match="is not a key"):
            store.find(prefix)

    def test_damaged(self, store: Store):
        file = store.save(a_record(), None)
        file.write_text("{")
        with pytest.raises(StoreDamaged, match="cut short"):
            store.find(a_record().run.key[:6])


@pytest.fixture
def in_memory() -> Iterator[Store]:
    """A store where ten thousand files are soon made, if there is such a place."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if os.access(place, os.W_OK) else None) as folder:
        yield Store(Path(folder))


def test_ten_thousand_records(in_memory: Store):
    """Prints the time only: machines differ."""
    store = in_memory
    trials = tuple(Trial({"lr": 1e-05 * n}, {"accuracy": 0.9}, 13, step=n) for n in range(9))
    record = replace(a_record(), selection=Selection(trials=trials))
    text = to_json(record)
    start = text.index(': "') + 3
    blank = text[:start] + text[start + 64 :]
    for number in range(10_000):
        run = replace(
            record.run,
            seed=number % 50,
            fingerprint=f"{number:016x}",
            method=f"method-{number // 500}",
        )
        key = run_key(run)
        body = blank.replace('"seed": 13,', f'"seed": {run.seed},').replace(
            "c" * 16, run.fingerprint
        )
        body = body.replace('"method": "kd"', f'"method": "{run.method}"').replace(
            record.run.key, key
        )
        folder = paths.folder(store.runs, run)
        if number % 500 == 0:
            folder.mkdir(parents=True)
        checksum = hashlib.sha256(body.encode()).hexdigest()
        (folder / f"k16-s{run.seed}-{key[:8]}.json").write_text(
            body[:start] + checksum + body[start:], "utf-8"
        )
    clock = time.perf_counter()
    records = list(store.records())
    print(f"\n10,000 records of {len(text)} bytes read in {time.perf_counter() - clock:.2f} s")
    assert len(records) == 10_000 and not store.damaged
    clock = time.perf_counter()
    assert store.get(records[4567].run) == records[4567]
    assert store.find(records[4567].run.key) == records[4567]
    print(f"one got and found in {time.perf_counter() - clock:.3f} s")
