"""Works start when what they need is there, and what others have begun is left to them."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from fewbench.nn.fit_context import FitContext, Models
from fewbench.registry.methods import methods, read_method
from fewbench.runner import local
from fewbench.runner.agenda import Agenda
from fewbench.runner.local import execute, stamps_of
from fewbench.runner.run import carry_out
from fewbench.runner.verdict import failure
from fewbench.runner.watcher import Watcher
from fewbench.store.claims import Claims
from fewbench.testing import toy_job, untimed

NOTING = """
import os, time
import numpy as np
from fewbench.types import Predictions

class Same:
    def predict(self, examples):
        shares = np.full((len(examples), 3), 1 / 3, np.float32)
        return Predictions(tuple(e.id for e in examples), probabilities=shares)

def fit(task, split, kit):
    with open({log!r}, "a") as stream:
        stream.write({name!r} + chr(10))
    {line}
    return Same()
"""


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def job(tmp_path, tiny_model, log):
    def make(name, line="pass", **options):
        file = tmp_path / f"{name}.py"
        file.write_text(NOTING.format(log=str(log), name=name, line=line), "utf-8")
        return toy_job(read_method(file), tiny_model, **options)

    return make


@pytest.fixture
def two(store):
    """The claims of two commands on one store."""
    with closing(store.claims()) as ours, closing(Claims(store.root / "claims")) as others:
        yield ours, others


def done(job, store):
    """Store a run's record, as another command does."""
    store.save(replace(failure(job, "no", "cpu", 1), status="ok", error=None), None)


def agenda(store, claims, *stages):
    works = [work for stage in stages for work in stage]
    return Agenda(stages, store, claims, stamps_of(works, store))


def test_a_work_starts_when_what_it_needs_is_done(store, two, job):
    teacher, plain = job("teacher"), job("plain")
    student = replace(job("student"), teacher=teacher)
    todo = agenda(store, two[0], [plain, teacher], [student])
    assert todo.take(0) == teacher  # others wait for it
    assert todo.take(1) == plain
    assert todo.take(2) is None
    todo.finish(teacher)
    assert todo.take(1) == student  # though the other of the first stage is under way
    todo.finish(student)
    todo.finish(plain)
    assert todo.is_over


def test_a_work_that_is_claimed_elsewhere_is_left_until_it_is_done(store, two, job):
    ours, others = two
    first, second = job("first"), job("second")
    assert others.take(first.key, "theirs") is None
    todo = agenda(store, ours, [first, second])
    assert todo.take(0) == second
    assert todo.take(1) is None
    assert [claim.title for claim in todo.elsewhere] == ["theirs"]
    done(first, store)
    others.release(first.key)
    assert todo.take(1) is None
    ((work, outcome),) = todo.found()
    assert (work, outcome.elsewhere, outcome.record.status) == (first, True, "ok")
    assert (todo.elsewhere, todo.found(), todo.is_over) == ([], [], True)
    assert two[1].take(first.key, "free again") is None


def test_a_claim_that_goes_without_a_record_leaves_the_work_to_us(store, two, job):
    ours, others = two
    first = job("first")
    others.take(first.key, "theirs")
    todo = agenda(store, ours, [first])
    assert todo.take(0) is None
    others.release(first.key)
    assert todo.take(0) == first


def test_a_record_of_before_is_not_taken_for_one_of_another_command(store, two, job):
    """What is redone (--force, --retry-failed) has a record all the time."""
    first = job("first")
    done(first, store)
    todo = agenda(store, two[0], [first])
    assert todo.take(0) == first
    two[0].close()
    again = agenda(store, two[0], [first])
    done(first, store)
    assert again.take(0) is None
    assert len(again.found()) == 1


def test_a_record_of_other_code_or_without_the_model_is_not_what_was_asked_for(store, two, job):
    first = job("first")
    todo = agenda(store, two[0], [replace(first, keep=True)])
    done(first, store)
    assert todo.take(0) is not None
    other = replace(failure(first, "no", "cpu", 1), method_code="other")
    second = agenda(store, two[1], [first])
    store.save(other, None)
    two[0].close()
    assert second.take(0) == first


def test_a_killed_work_is_tried_again_last_and_alone(store, two, job):
    killed, waiting = job("killed"), job("waiting")
    todo = agenda(store, two[0], [killed, waiting])
    assert todo.take(0) == killed
    todo.again(killed)
    assert todo.take(0) == waiting
    assert todo.take(1) is None
    assert not todo.is_over
    todo.finish(waiting)
    assert todo.take(0) == killed
    assert todo.is_second(killed)
    assert todo.take(1) is None


def test_no_barrier_between_teachers_and_students(store, job, log):
    """The student of the quick teacher runs while the slow teacher does, which waits for it."""
    waits = (
        f"while time.time() < end and 'student' not in open({str(log)!r}).read(): time.sleep(.05)"
    )
    slow = job("slow", f"end = time.time() + 60\n    {waits}\n    time.sleep(1)")
    quick = job("quick")
    student = replace(job("student"), teacher=quick)
    heard = []
    run = lambda work, outcome: heard.append(work.method.name)  # noqa: E731
    stages = [[slow, quick], [student]]
    execute(stages, store, workers=2, device="cpu", threads=1, on_done=run, settled=True)
    assert heard == ["quick", "student", "slow"]


def test_two_commands_share_the_works(store, job, log, monkeypatch):
    """One has begun the first work; the other waits for it at the end, and says for what."""
    monkeypatch.setattr(local, "POLL", 0.05)
    jobs = [job("first"), job("second")]
    elsewhere = Claims(store.root / "claims")
    elsewhere.take(jobs[0].key, "theirs")
    waited = []

    class Other(Watcher):
        def waiting(self, claims):
            waited.append([claim.title for claim in claims])
            if len(waited) == 3:
                done(jobs[0], store)
                elsewhere.close()

    heard = []
    execute(
        [jobs],
        store,
        workers=1,
        device="cpu",
        threads=1,
        on_done=lambda work, outcome: heard.append((work.method.name, outcome.elsewhere)),
        watcher=Other(),
        settled=True,
    )
    assert heard == [("second", False), ("first", True)]
    assert log.read_text() == "second\n"
    assert waited == [["theirs"]] * 3
    assert list((store.root / "claims").iterdir()) == []


def test_progress_is_heard_and_changes_no_number(store, tiny_model, monkeypatch):
    job = toy_job(methods()["prompt-ft"], tiny_model)
    told = []

    class Heard(Watcher):
        def progressed(self, work, progress):
            told.append((work.key, progress))

    execute(
        [[job]],
        store,
        workers=1,
        device="cpu",
        threads=1,
        on_done=lambda *_: None,
        watcher=Heard(),
        settled=True,
    )
    assert {key for key, _ in told} == {job.key}
    last = told[-1][1]
    assert last.steps == job.protocol.max_steps
    assert 0 < last.step <= last.steps
    assert last.loss is not None
    monkeypatch.setattr("fewbench.runner.run.WatchedFitContext", FitContext)
    unwatched, _ = carry_out(job, Models(torch.device("cpu")), 1)
    watched = untimed(store.get(job.run))
    assert replace(watched, predictions=None) == untimed(unwatched)


def test_updates_are_counted_through_micro_batches_trials_and_resumed_trainings():
    import os

    from fewbench.runner.watched import Teller, TrainingWatch

    reader, writer = os.pipe()
    watch = TrainingWatch(Teller(writer), 3)
    watch._told = 0.0
    for trial, resumed in ((0, 0), (1, 7)):
        watch.begin_trial(trial)
        loss = watch.training(lambda batch: torch.tensor(0.25), 10)
        watch.updated(resumed)
        for step in (1, 2):
            loss(None)
            loss(None)
            watch.updated(resumed + step)
        watch.scored(0.5)
    lines = [json.loads(line) for line in os.read(reader, 1 << 16).splitlines()]
    ends = [lines[-1], next(line for line in lines if line["trial"] == 1 and line["dev"])]
    assert [(end["trial"], end["step"], end["steps"], end["loss"]) for end in ends] == [
        (2, 9, 10, 0.25),
        (1, 2, 10, 0.25),
    ]
    os.close(reader)
    watch.scored(1.0)  # nobody listens, and nothing happens
    os.close(writer)


RUDE = r"""
    for number in range(3, 60):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode) and not os.get_blocking(number):
                os.write(number, b"{}\n[1]\nnot json\n" * 2000)
        except OSError:
            pass
"""


def test_a_method_that_writes_rubbish_as_progress_disturbs_nobody(store, job):
    rude = job("rude", "import stat" + RUDE)
    heard = []
    execute(
        [[rude]],
        store,
        workers=1,
        device="cpu",
        threads=1,
        on_done=lambda work, outcome: heard.append(outcome.record.status),
        settled=True,
    )
    assert heard == ["ok"]
