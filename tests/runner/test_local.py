"""The local executor: two at a time give what one gives; deaths and interrupts leave whole records."""

from __future__ import annotations

import multiprocessing
import signal
from dataclasses import replace

import pytest

from fewbench.errors import BenchError
from fewbench.registry.methods import methods, read_method
from fewbench.runner import processes
from fewbench.runner.local import execute
from fewbench.runner.processes import Pool, WorkConditions
from fewbench.store.store import Store
from fewbench.testing import toy_job, untimed

BODY = """
import os, signal, time
import numpy as np
from fewbench.types import Predictions

class Same:
    def predict(self, examples):
        shares = np.full((len(examples), 3), 1 / 3, np.float32)
        return Predictions(tuple(e.id for e in examples), probabilities=shares)

def fit(task, split, kit):
    {}
    return Same()
"""


@pytest.fixture
def job(tmp_path, tiny_model):
    def make(name: str, line: str, **options):
        file = tmp_path / f"{name}.py"
        file.write_text(BODY.format(line), "utf-8")
        return toy_job(read_method(file), tiny_model, **options)

    return make


def carry_out(jobs, store, workers, on_done=lambda job, record: None) -> int:
    heard = lambda job, outcome: on_done(job, outcome.record)  # noqa: E731
    return execute([jobs], store, workers=workers, device="cpu", threads=1, on_done=heard)


def test_workers_give_what_one_process_gives(tmp_path, tiny_model):
    known = methods()
    jobs = [
        toy_job(known[name], tiny_model, seed=seed)
        for name in ("ft", "prompt-ft", "majority")
        for seed in (13, 21)
    ]
    seen = []
    stores = [Store(tmp_path / "one"), Store(tmp_path / "two")]
    for store, workers in zip(stores, (1, 2), strict=True):
        done: list = []
        assert (
            carry_out(
                jobs, store, workers, lambda job, record, done=done: done.append((job, record))
            )
            == 0
        )
        assert sorted(job.run.key for job, _ in done) == sorted(job.run.key for job in jobs)
        assert all(record.run.key == job.run.key for job, record in done)
        records = {record.run.key: record for record in store.records()}
        seen.append(
            {
                key: (untimed(record), store.predictions(record).array.tobytes())
                for key, record in records.items()
            }
        )
    assert len(seen[0]) == 6
    assert seen[0] == seen[1]


def test_a_worker_that_dies_takes_only_its_own_run_with_it(job, store):
    """The slow run is in the other worker's hands each time the deadly one kills its own."""
    deadly = job("deadly", "time.sleep(0.2); os.kill(os.getpid(), signal.SIGKILL)")
    slow = job("slow", "time.sleep(1)")
    heard = []
    jobs = [slow, deadly]
    assert (
        carry_out(
            jobs, store, 2, lambda job, record: heard.append((job.method.name, record.status))
        )
        == 1
    )
    records = {record.run.method: record for record in store.records()}
    statuses = {name: record.status for name, record in records.items()}
    assert statuses == {"deadly": "failed", "slow": "ok"}
    assert "its process was killed, twice" in records["deadly"].error
    assert sorted(heard) == sorted(statuses.items())
    assert store.fsck() == []


def test_an_interrupt_leaves_whole_records(job, store):
    def interrupt(job, record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out([job("first", "pass"), job("never", "pass")], store, 1, interrupt)
    assert [record.run.method for record in store.records()] == ["first"]
    assert store.fsck() == []


def test_an_interrupt_ends_the_workers(job, store):
    def interrupt(job, record):
        raise KeyboardInterrupt

    jobs = [
        job("first", "pass"),
        job("endless", "time.sleep(600)"),
        job("never", "time.sleep(600)"),
    ]
    with pytest.raises(KeyboardInterrupt):
        carry_out(jobs, store, 2, interrupt)
    assert multiprocessing.active_children() == []
    assert [record.run.method for record in store.records()] == ["first"]
    assert store.fsck() == []


def test_failed_runs_are_counted_and_stored(job, store):
    jobs = [job("good", "pass"), job("bad", "raise ValueError('oh')")]
    assert carry_out(jobs, store, 1) == 1
    assert {record.run.method: record.status for record in store.records()} == {
        "good": "ok",
        "bad": "failed",
    }


def test_what_the_job_says_is_what_is_stored(job, store):
    one = job("one", "pass")
    carry_out([one], store, 1)
    assert store.get(one.run) is not None
    assert store.get(replace(one.run, seed=14)) is None


CHECKED = (
    BODY
    + """
def check(task, student, teacher, **settings):
    {}
"""
)


@pytest.fixture
def checked_job(tmp_path, tiny_model):
    def make(line: str, needs: str = '("student",)'):
        file = tmp_path / "checked.py"
        file.write_text(f"NEEDS = {needs}\n" + CHECKED.format("pass", line), "utf-8")
        return toy_job(read_method(file), tiny_model)

    return make


def test_a_method_checks_its_models_before_anything_runs(job, checked_job, store):
    refusal = "from fewbench.errors import BenchError; raise BenchError(f'{len(student.layers)} layers for {task.name}')"
    with pytest.raises(BenchError, match="2 layers for toy-single") as caught:
        carry_out([job("first", "pass"), checked_job(refusal)], store, 1)
    assert caught.value.where == "checked on toy-single@toy"
    assert list(store.records()) == []


def test_a_check_sees_the_models_the_method_needs(checked_job, store):
    assert carry_out([checked_job("assert student is teacher is None", "()")], store, 1) == 0
    seen = "assert student.config is not None and teacher.config is not None and settings == {}"
    assert carry_out([checked_job(seen, '("student", "teacher")')], store, 1) == 0


def test_a_check_that_breaks_down_is_an_error_without_traceback(checked_job, store):
    with pytest.raises(
        BenchError, match="the check of method 'checked' broke down: KeyError: 'depth'"
    ):
        carry_out([checked_job("settings['depth']")], store, 1)


def test_no_jobs(store):
    assert carry_out([], store, 2) == 0
    assert list(store.records()) == []


def test_a_start_that_is_interrupted_is_not_tried_again(tiny_model, monkeypatch):
    """Slurm signals the server of processes as well: to start another takes longer than it waits."""
    tries = []

    def start(*given):
        tries.append(given)
        signal.raise_signal(signal.SIGINT)
        raise EOFError

    monkeypatch.setattr(processes, "_start", start)
    with Pool(WorkConditions(1), {"cpu": 1}) as pool, pytest.raises(KeyboardInterrupt):
        pool.start(toy_job(methods()["majority"], tiny_model))
    assert len(tries) == 1


def test_a_start_is_tried_again_while_another_server_comes(tiny_model, monkeypatch):
    tries, begin = [], processes._start

    def start(*given):
        tries.append(given)
        if len(tries) == 1:
            raise EOFError
        return begin(*given)

    monkeypatch.setattr(processes, "_start", start)
    with Pool(WorkConditions(1), {"cpu": 1}) as pool:
        pool.start(toy_job(methods()["majority"], tiny_model))
        ends = []
        while pool.running:
            ends += pool.ended()
    assert [end.death for _, end in ends] == [None] and len(tries) == 2
