"""A maker keeps what jobs have in common, and never gives it to a job of something else."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from fewbench.data.metrics import Scorer
from fewbench.data.split import make_split
from fewbench.registry.methods import methods
from fewbench.runner import maker
from fewbench.runner.maker import JobData, JobMaker
from fewbench.store.inputs import exact_hash, row_hashes, trials_of
from fewbench.testing import toy_protocol, toy_rows, toy_task
from fewbench.types import ModelRef

STUDENT, BACKBONE = ModelRef("student", "", "revision 1"), ModelRef("backbone", "", "revision 2")


def make():
    protocol = replace(toy_protocol(), steps_by_k={1: 4, 2: 8})
    return JobMaker(protocol, methods(), {"student": STUDENT, "teacher": None}, None)


def data(task, rows, hashes, k, seed):
    split = make_split(task, rows, k, seed)
    drawn = exact_hash([*split.train, *split.dev])
    return JobData(task, split, Scorer(task, rows.test), hashes, drawn)


def parts(job):
    return job.run, job.task, job.split, job.method, job.protocol, job.trials, job.preparation


def test_one_maker_makes_the_jobs_that_a_new_one_for_each_makes(monkeypatch):
    task = toy_task("single")
    rows = toy_rows(task)
    fewer = rows._replace(test=rows.test[1:])
    # One name stands for three definitions and two sets of rows.
    tasks = [task, replace(task, max_length=task.max_length + 1), replace(task, metric="f1")]
    sets = [(each, row_hashes(each)) for each in (rows, fewer)]
    models = [None, BACKBONE]
    of_one_seed = [
        tasks,
        sets,
        [1, 2],
        [methods()["ft"], methods()["prompt-ft"]],
        [{}, {"lr": 1.0}],
    ]
    asked = list(product([13, 21], models, *of_one_seed))

    def jobs(maker_of_job):
        return [
            maker_of_job().job(data(task, *rows, k, seed), method, settings, backbone=backbone)
            for seed, backbone, task, rows, k, method, settings in asked
        ]

    made = []
    kept = make()
    with monkeypatch.context() as watched:
        watched.setattr(maker, "trials_of", lambda *each: made.append(each) or trials_of(*each))
        found = jobs(lambda: kept)
    assert len(made) == len(asked) / 2  # once for both seeds
    assert list(map(parts, found)) == list(map(parts, jobs(make)))
    assert len({job.key for job in found}) == len(asked)
