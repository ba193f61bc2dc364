"""Signals, full disks, kills and two writers at once leave the old state or the new."""

from __future__ import annotations

import errno
import os
import signal
import threading

import pytest
from stored import a_record, files, run_script, same, some_predictions

from fewbench.io import atomic
from fewbench.store.store import Store, StoreFull


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
            with atomic.finish_writing():
                with atomic.finish_writing():
                    signal.raise_signal(signal.SIGTERM)
                    events.append("inner")
                events.append("outer")
        finally:
            signal.signal(signal.SIGTERM, before)
        assert events == ["inner", "outer", "terminated"]

    def test_failure_inside_lets_the_signal_through(self):
        with pytest.raises(KeyboardInterrupt) as caught, atomic.finish_writing():
            signal.raise_signal(signal.SIGINT)
            raise OSError("full")
        assert isinstance(caught.value.__context__, OSError)

    def test_other_threads_may_write(self, store: Store):
        threads = [
            threading.Thread(target=store.save, args=(a_record(seed=n), some_predictions()))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(store.records())) == 8 and store.fsck() == []


class TestFullDisk:
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    @pytest.mark.parametrize("old", [False, True])
    @pytest.mark.parametrize("when", range(3))
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
        assert store.fsck() == [] and files(store) == before
        if old:
            assert same(store.predictions(store.find(a_record().run.key)), some_predictions(0.1))

    @pytest.mark.parametrize("limit", [100, 2000])
    def test_for_real(self, store: Store, limit: int):
        """With 100 bytes the predictions do not fit, with 2000 only the record does not."""
        code = f"""
            import resource, sys
            from pathlib import Path
            from dataclasses import replace
            from stored import Store, a_record, some_predictions
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


KILLS = 30


def test_kill_at_any_moment_leaves_the_old_state_or_the_new(store: Store):
    """A writer redoes three runs over and over and tells after each; it is killed at random, thirty
    times.
    """
    code = """
        import os, random, signal, sys, time
        from dataclasses import replace
        from pathlib import Path
        from stored import Store, a_record, some_predictions

        root, kills = Path(sys.argv[1]), int(sys.argv[2])

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
        for kill in range(kills):
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
    done = run_script(code, store.root, KILLS)
    assert done.returncode == 0, done.stderr
    print(f"{KILLS} kills, of which {done.stdout.strip()} in the middle of a write")


def test_two_writers_of_one_run(store: Store):
    """Both succeed, and at every moment there is one whole record with its own predictions."""
    code = """
        import os, sys
        from dataclasses import replace
        from pathlib import Path
        from stored import Store, a_record, some_predictions

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
