"""The pool of a plan: counted without being made, and then the rows that a split holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewbench.data.pool import UnlabeledPool
from fewbench.data.reader import read_rows
from fewbench.data.split import make_split
from fewbench.data.task_file import declared
from fewbench.registry.methods import task_files
from fewbench.runner.plan import Request, make_plan
from fewbench.store.store import Store


@pytest.fixture(scope="module")
def rows():
    return read_rows(declared(task_files([])).tasks["demo-sentiment"], None, offline=True)


def test_it_is_what_make_split_gives(rows):
    task = declared(task_files([])).tasks["demo-sentiment"]
    split = make_split(task, rows, 4, 13)
    pool = UnlabeledPool(rows, split)
    assert len(pool) == len(split.unlabeled) == len(rows.train) - 16
    assert "rows" not in vars(pool)  # to count them makes none
    assert tuple(pool) == split.unlabeled and pool[0] == split.unlabeled[0]
    assert pool[:3] == split.unlabeled[:3]


def test_a_worker_gets_the_rows(tmp_path: Path):
    request = Request(("pet",), ("demo-sentiment",), k=(4,), seeds=(13,), protocol="demo")
    (job,) = make_plan(request, Store(tmp_path)).jobs
    assert job.split_sizes.unlabeled == len(job.sent().split.unlabeled) > 0
    assert isinstance(job.sent().split.unlabeled, tuple)
