"""A maker keeps what jobs have in common, and never gives it to a job of something else."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from fewbench.data.metrics import Scorer
from fewbench.data.split import make_split
from fewbench.registry.methods import methods
from fewbench.runner.maker import JobData, JobMaker
from fewbench.store.inputs import exact_hash, row_hashes
from fewbench.testing import toy_protocol, toy_rows, toy_task


def maker():
    return JobMaker(toy_protocol(), methods(), {"student": None, "teacher": None}, None)


def data(task, rows, seed):
    split = make_split(task, rows, 2, seed)
    drawn = exact_hash([*split.train, *split.dev])
    return JobData(task, split, Scorer(task, rows.test), row_hashes(rows), drawn)


def test_one_maker_makes_the_keys_that_a_new_one_for_each_job_makes():
    task = toy_task("single")
    rows = toy_rows(task)
    # One name, three definitions and two sets of rows.
    tasks = [task, replace(task, max_length=task.max_length + 1), replace(task, metric="f1")]
    longer = rows._replace(test=rows.test[1:])
    asked = list(
        product(tasks, [rows, longer], [13, 21], ["majority", "zero-shot"], [{}, {"x": 1}])
    )
    kept = maker()

    def keys(make):
        return [
            make().job(data(task, rows, seed), methods()[name], settings).key
            for task, rows, seed, name, settings in asked
        ]

    found = keys(lambda: kept)
    assert found == keys(maker)
    assert len(set(found)) == len(asked)
