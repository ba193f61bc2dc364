"""Who is compared in the tests of comparisons."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fewbench.data.leaks import fingerprint
from fewbench.data.metrics import score
from fewbench.data.reader import read_rows
from fewbench.data.task_file import declared
from fewbench.registry.methods import task_files
from fewbench.report.compare.items import Labels
from fewbench.report.compare.sides import Side, versus_all
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts
from fewbench.store.record import Record, run_key
from fewbench.types import ModelRef, Predictions, Run

TASK = "demo-sentiment"


@pytest.fixture(scope="module")
def demo():
    task = declared(task_files()).tasks[TASK]
    rows = read_rows(task, None).test
    return SimpleNamespace(
        task=task, rows=rows, gold=np.array([row.label for row in rows]), print=fingerprint(rows)
    )


@pytest.fixture
def add(demo, store):
    """Store a run of a method that is right with some chance on each test item, from a seed of its
    own.
    """

    def add(method, seed=13, chance=0.7, draw=0, *, seeded=None, rows=demo.rows, **changes):
        rng = np.random.default_rng([seed if seeded is None else seeded, draw])
        gold = np.array([row.label for row in rows])
        answers = np.where(rng.random(len(gold)) < chance, gold, 1 - gold)
        predictions = Predictions(tuple(row.id for row in rows), np.eye(2, dtype="f4")[answers])
        run = Run(
            task=TASK,
            task_version=demo.task.version,
            source=demo.task.source.name,
            method=method,
            settings={},
            student=ModelRef("tiny", "", "a" * 16),
            teacher=None,
            k=16,
            seed=seed,
            protocol="quick",
            fingerprint=f"split-{seed}",
            test_fingerprint=demo.print,
        )
        run = replace(run, **changes)
        run = replace(run, key=run_key(run))
        found = {"test": score(demo.task, list(gold), predictions)}
        record = Record(
            run=run,
            status="ok",
            scores=found,
            selection=Selection(metric=demo.task.metric),
            split=SplitFacts(),
            details={},
            method_code="0" * 16,
            environment=Environment(),
            timing=RunTiming(),
        )
        store.save(record, predictions)
        return store.find(run.key)

    return add


def of(store, method):
    return [record for record in store.records() if record.run.method == method]


def versus(store, first="new", second="old", **options):
    sides = [Side(name, of(store, name), store) for name in (first, second)]
    return versus_all(sides[0], sides[1:], Labels(None), 400, **options)[0]
