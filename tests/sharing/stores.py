"""A store of someone else, with runs of majority as the runner makes them, and helpers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fewbench.data.metrics import score
from fewbench.data.reader import read_rows
from fewbench.data.split import make_split
from fewbench.data.task_file import declared
from fewbench.registry.methods import methods, task_files
from fewbench.report.share.gather import gather
from fewbench.report.share.submit import Checker
from fewbench.store.measurement import measured, write
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts, Trial
from fewbench.store.record import Record, run_key, to_json
from fewbench.store.store import Store
from fewbench.types import Predictions, Run

TASK = "demo-sentiment"


@pytest.fixture(scope="module")
def demo():
    task = declared(task_files()).tasks[TASK]
    rows = read_rows(task, None)
    return SimpleNamespace(
        task=task, rows=rows, splits={seed: make_split(task, rows, 4, seed) for seed in (13, 21)}
    )


@pytest.fixture
def theirs(tmp_path):
    return tmp_path / "theirs"


@pytest.fixture
def add(demo, theirs):
    """Store a run as majority would make it, in their folder or another."""

    def add(seed=13, first=0, folder=None, environment=None, **changes):
        split = demo.splits[seed]
        answers = np.eye(2, dtype="f4")[np.full(len(split.test), first)]
        predictions = Predictions(tuple(example.id for example in split.test), answers)
        run = Run(
            task=TASK,
            task_version=demo.task.version,
            source=demo.task.source.name,
            method="majority",
            settings={},
            student=None,
            teacher=None,
            k=4,
            seed=seed,
            protocol="quick",
            fingerprint=split.fingerprint,
            test_fingerprint=split.test_fingerprint,
        )
        run = replace(run, **changes)
        run = replace(run, key=run_key(run))
        labels = [example.label for example in demo.rows.test]
        scores = {"dev": {"accuracy": 0.5}, "test": score(demo.task, labels, predictions)}
        trial = Trial(settings={"lr": 0.1}, dev={"accuracy": 0.5}, seed=seed)
        record = Record(
            run=run,
            status="ok",
            scores=scores,
            selection=Selection(metric="accuracy", trials=(trial,)),
            split=SplitFacts(),
            details={},
            method_code=methods()["majority"].code_hash(),
            environment=environment or Environment(commit="0" * 40, dirty=False),
            timing=RunTiming(),
        )
        return Store(folder or theirs).save(record, predictions)

    return add


def change(file, **changes):
    """Write a record anew with changes, its checksum too: what a forger would do."""
    from fewbench.store.store import load

    file.write_text(to_json(replace(load(file), **changes)), "utf-8")


def tree(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def problems(folder):
    found, wrong = gather(folder)
    return wrong + Checker(None).check(found).problems


ATTACK = {"after_attack_accuracy": 0.2, "mean_queries": 31.5}


def measure(
    file, name="textfooler-paper", kind="attack", scores=ATTACK, environment=None, **changes
):
    """Store a measurement of the record in a file, with texts attached."""
    store = Store(file.parents[4])
    record = next(
        record
        for record in store.records()
        if record.run.key.startswith(file.stem.rpartition("-")[2])
    )
    made = measured(
        record,
        kind,
        name,
        settings={},
        scores=scores,
        environment=environment or Environment(dirty=False),
    )
    return write(store, record, replace(made, **changes), {".jsonl": b"{}"})
