"""The store: what is written is read back whole, whatever happens to writers, files and disks."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from fewbench import durable, fsck, layout
from fewbench.errors import BenchError, StoreDamaged
from fewbench.record import SCHEMA, Record, from_json, run_key, to_json
from fewbench.store import Store, StoreFull, StoreUnwritable
from fewbench.types import ModelRef, Predictions, Run

SCHEMA1 = Path(__file__).parent / "historic" / "schema1.json"


def a_record(**changes: Any) -> Record:
    """Return a record whose run differs from the historic one by `changes`."""
    record = from_json(SCHEMA1.read_text("utf-8"), "historic")
    run = replace(record.run, **changes)
    return replace(record, run=replace(run, key=run_key(run)), predictions=None)


def some_predictions(number: float = 0.25, count: int = 5) -> Predictions:
    ids = tuple(f"test-{row}" for row in range(count))
    return Predictions(ids, np.tile(np.array([number, 1 - number], "f4"), (count, 1)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def files(store: Store) -> list[str]:
    return sorted(file.name for file in store.root.rglob("*") if file.is_file())


def same(ours: Predictions, others: Predictions) -> bool:
    return ours.ids == others.ids and np.array_equal(ours.array, others.array)


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

    @given(st.lists(st.sampled_from(["test-0", "test-1", "test-2", "test-01", "test", "", "-", "x-٣"]), unique=True))
    def test_any_ids(self, ids: list[str]):
        from fewbench.predictions import from_bytes, to_bytes

        predictions = Predictions(tuple(ids), values=np.arange(len(ids), dtype="f4"))
        assert same(from_bytes(to_bytes(predictions, a_record().run), "here"), predictions)

    def test_predictions_file_is_safetensors_and_always_the_same_bytes(self, store: Store, tmp_path: Path):
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
        slug = layout.slug(name)
        assert 0 < len(slug) <= 80 and slug.isascii() and not set(slug) & set('/\\:*?"<>|\0 ')
        assert not slug.startswith((".", "-")) and not slug.endswith(".")

    def test_usual_names_stay_as_they_are(self):
        usual = ["sst-2@lm-bff", "head-prune+kd+ptq", "roberta-large", "none", "bert_v1.5"]
        assert [layout.slug(name) for name in usual] == usual
        assert layout.slug("google-bert/bert-base") == "google-bert--bert-base"

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

        for module in ("store", "layout", "fsck"):
            monkeypatch.setattr(f"fewbench.{module}.run_key", clashing)
        runs = [a_record(fingerprint=letter) for letter in "abc"]
        for number, record in enumerate(runs[:2]):
            store.save(record, some_predictions(number / 4))
        assert sorted(len(layout.digits(file)) for file in layout.record_files(store.runs)) == [8, 16]
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
        with pytest.raises(BenchError, match="is no key"):
            store.find(prefix)

    def test_damaged(self, store: Store):
        file = store.save(a_record(), None)
        file.write_text("{")
        with pytest.raises(StoreDamaged, match="cut short"):
            store.find(a_record().run.key[:6])


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
    def test_a_damaged_record_is_named_set_aside_and_absent(self, store: Store, harm: Callable[[Path], None]):
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
            with pytest.raises(StoreDamaged, match="not those that run"):
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
        from fewbench.predictions import from_bytes, to_bytes

        whole = to_bytes(some_predictions(), a_record().run)
        for data in (b"", whole[:20], whole[:-1], whole.replace(b"test-", b"rest-"), b"\xff" * 8 + whole[8:]):
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
        orphan = next(store.root.rglob("*.safetensors")).rename(file.with_name("k16-s13-00000000.00000000.safetensors"))
        store.save(a_record(), some_predictions())
        temporary = file.with_name(f".{file.name}.77-abcdef00.tmp")
        temporary.write_text("{")
        strangers = [file.with_name(name) for name in ("notes.txt", ".gitkeep", "model.safetensors", ".mine.tmp")]
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


class TestSignals:
    @pytest.fixture
    def interrupting(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Let SIGINT arrive at every fsync."""
        steps: list[str] = []
        fsync = os.fsync

        def interrupted(number: int) -> None:
            signal.raise_signal(signal.SIGINT)
            steps.append("written on")
            fsync(number)

        monkeypatch.setattr(os, "fsync", interrupted)
        return steps

    def test_interrupt_waits_until_the_record_is_whole(self, store: Store, interrupting: list[str]):
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            store.save(a_record(), some_predictions())
        assert len(interrupting) >= 4
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
        assert same(store.predictions(store.find(a_record().run.key)), some_predictions())
        assert store.fsck() == []

    def test_termination_waits_too(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        events: list[str] = []
        before = signal.signal(signal.SIGTERM, lambda *_: events.append("terminated"))
        try:
            with durable.finish_writing():
                with durable.finish_writing():
                    signal.raise_signal(signal.SIGTERM)
                    events.append("inner")
                events.append("outer")
        finally:
            signal.signal(signal.SIGTERM, before)
        assert events == ["inner", "outer", "terminated"]

    def test_failure_inside_lets_the_signal_through(self):
        with pytest.raises(KeyboardInterrupt) as caught, durable.finish_writing():
            signal.raise_signal(signal.SIGINT)
            raise OSError("full")
        assert isinstance(caught.value.__context__, OSError)

    def test_other_threads_may_write(self, store: Store):
        threads = [threading.Thread(target=store.save, args=(a_record(seed=n), some_predictions())) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(store.records())) == 8 and store.fsck() == []


class TestFullDisk:
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    @pytest.mark.parametrize("old", [False, True])
    @pytest.mark.parametrize("when", range(4))
    def test_nothing_is_left_half_written(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, code: int, old: bool, when: int
    ):
        store.save(a_record(seed=21), None)
        if old:
            store.save(a_record(), some_predictions(0.1))
        before = files(store)
        calls = iter(range(100))
        fsync = os.fsync

        def full(number: int) -> None:
            if next(calls) >= when:
                raise OSError(code, os.strerror(code))
            fsync(number)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StoreFull) as caught:
            store.save(a_record(), some_predictions(0.2))
        monkeypatch.undo()
        assert caught.value.exit_code == 1 and "free some space" in str(caught.value)
        record_replaced = when == 3  # only the folder could not be synced
        assert store.fsck() == [] or record_replaced
        if not record_replaced:
            assert files(store) == before
        for record in store.records():
            if record.predictions:
                assert len(store.predictions(record).ids) == 5

    @pytest.mark.parametrize("limit", [100, 2000])
    def test_for_real(self, store: Store, limit: int):
        """With 100 bytes the predictions do not fit, with 2000 only the record does not."""
        code = f"""
            import resource, sys
            from pathlib import Path
            from dataclasses import replace
            from test_store import Store, a_record, some_predictions
            record = replace(a_record(), details={{"long": "x" * 3000}})
            resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
            try:
                Store(Path(sys.argv[1])).save(record, some_predictions(count=20))
            except Exception as error:
                print(type(error).__name__, error)
        """
        done = run_script(code, store.root)
        assert done.stdout.startswith("StoreFull nothing was written: File too large"), done
        assert files(store) == []


def run_script(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code that may import this file, in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


KILLS = 30


def test_kill_at_any_moment_leaves_the_old_state_or_the_new(store: Store):
    """A writer redoes three runs over and over and tells after each; it is killed at random, thirty times."""
    code = """
        import os, random, signal, sys, time
        from dataclasses import replace
        from pathlib import Path
        from test_store import KILLS, Store, a_record, some_predictions

        root = Path(sys.argv[1])

        def write(pipe):
            store, version = Store(root), 0
            os.write(pipe, b"\\n")
            while True:
                version += 1
                for seed in (13, 21, 42):
                    record = replace(a_record(seed=seed), details={"version": version, "long": "x" * 20_000})
                    store.save(record, some_predictions(version % 64 / 64))
                    os.write(pipe, b"%d %d\\n" % (seed, version))

        torn, stopped_early = 0, 0
        for kill in range(KILLS):
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reader)
                write(writer)
            os.close(writer)
            os.read(reader, 1)
            time.sleep(random.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            with os.fdopen(reader) as told:
                acknowledged = dict(line.split() for line in told if line.endswith("\\n") and " " in line.strip())
            store = Store(root)
            records = {str(record.run.seed): record for record in store.records()}
            assert not store.damaged, store.damaged
            for seed, version in acknowledged.items():
                assert records[seed].details["version"] >= int(version)
            for record in records.values():
                array = store.predictions(record).array
                assert array[0, 0] == record.details["version"] % 64 / 64
            problems = store.fsck()
            assert not any(problem.serious for problem in problems), problems
            torn += bool(problems)
            for file in root.rglob("*.*"):
                file.unlink()
        print(torn)
    """
    done = run_script(code, store.root)
    assert done.returncode == 0, done.stderr
    print(f"{KILLS} kills, of which {done.stdout.strip()} in the middle of a write")


def test_two_writers_of_one_run(store: Store):
    """Both succeed, and at every moment there is one whole record with its own predictions."""
    code = """
        import os, sys
        from dataclasses import replace
        from pathlib import Path
        from test_store import Store, a_record, some_predictions

        root = Path(sys.argv[1])
        Store(root).save(replace(a_record(), details={"version": 0}), some_predictions(0))
        children = []
        for number in (1, 2):
            child = os.fork()
            if child == 0:
                for turn in range(40):
                    version = 2 * turn + number
                    record = replace(a_record(), details={"version": version})
                    Store(root).save(record, some_predictions(version / 128))
                os._exit(0)
            children.append(child)
        reads = 0
        while children:
            done, status = os.waitpid(children[0], os.WNOHANG)
            if done:
                assert status == 0
                children.pop(0)
            (record,) = Store(root).records()
            assert Store(root).get(record.run) is not None
            reads += 1
        store = Store(root)
        (record,) = store.records()
        assert store.predictions(record).array[0, 0] == record.details["version"] / 128
        assert not any(problem.serious for problem in store.fsck())
        print(reads)
    """
    done = run_script(code, store.root)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


@pytest.fixture
def in_memory() -> Iterator[Store]:
    """A store where ten thousand files are soon made, if there is such a place."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if os.access(place, os.W_OK) else None) as folder:
        yield Store(Path(folder))


def test_ten_thousand_records(in_memory: Store):
    """Prints the time only: machines differ."""
    store = in_memory
    trials = [{"settings": {"lr": 1e-05 * n}, "seed": 13, "dev": {"accuracy": 0.9}, "step": n} for n in range(9)]
    record = replace(a_record(), selection={"trials": trials})
    text = to_json(record)
    start = text.index(': "') + 3
    blank = text[:start] + text[start + 64 :]
    for number in range(10_000):
        run = replace(record.run, seed=number % 50, fingerprint=f"{number:016x}", method=f"method-{number // 500}")
        key = run_key(run)
        body = blank.replace('"seed": 13,', f'"seed": {run.seed},').replace("c" * 16, run.fingerprint)
        body = body.replace('"method": "kd"', f'"method": "{run.method}"').replace(record.run.key, key)
        folder = layout.folder(store.runs, run)
        if number % 500 == 0:
            folder.mkdir(parents=True)
        checksum = hashlib.sha256(body.encode()).hexdigest()
        (folder / f"k16-s{run.seed}-{key[:8]}.json").write_text(body[:start] + checksum + body[start:], "utf-8")
    clock = time.perf_counter()
    records = list(store.records())
    print(f"\n10,000 records of {len(text)} bytes read in {time.perf_counter() - clock:.2f} s")
    assert len(records) == 10_000 and not store.damaged
    clock = time.perf_counter()
    assert store.get(records[4567].run) == records[4567]
    assert store.find(records[4567].run.key) == records[4567]
    print(f"one got and found in {time.perf_counter() - clock:.3f} s")
