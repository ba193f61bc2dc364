"""The script that carries records over a change: what it takes for the same run, and what it does
not.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from conftest import PROJECT

import fewbench
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import info_of
from fewbench.store.record import run_key
from fewbench.store.store import Store

sys.path.insert(0, str(PROJECT / "scripts"))
carry = pytest.importorskip("carry")


def git(*line: str) -> str:
    done = subprocess.run(["git", "-C", str(PROJECT), *line], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def commit():
    """The commit of this checkout, if it is one with nothing changed in it."""
    head = git("rev-parse", "HEAD")
    if not head or git("status", "--porcelain", "--", "bench", "methods", "tasks"):
        pytest.skip("no checkout, or one with changes")
    return head


@pytest.fixture
def older(tmp_path, commit):
    """Return a store with one run, as it would have been stored under other constants."""
    store = Store(tmp_path / "results")
    (record,) = fewbench.run(
        "majority", "demo-sentiment", k=2, seeds=13, results=store.root, offline=True
    )

    def make(**changes):
        inputs = replace(record.run.inputs, protocol="0" * 16, trials="", **changes)
        run = replace(record.run, inputs=inputs)
        run = replace(run, key=run_key(run))
        made = replace(record.environment, commit=commit, dirty=False)
        old = replace(record, run=run, environment=made)
        carry.rewrite(store, record, old, {})
        return store, old, record

    return make


def test_a_run_that_is_the_same_takes_todays_key(older, tmp_path):
    store, old, record = older()
    assert [one.run.key for one in store.records()] == [old.run.key] != [record.run.key]
    assert carry.carry_constants(store, tmp_path) == Counter({"quick: carried": 1})
    (carried,) = store.records()
    assert carried.run == record.run and carried.run.key == record.run.key
    assert store.predictions(carried).array.tolist() == store.predictions(record).array.tolist()
    assert not store.fsck()


def test_a_run_on_other_rows_keeps_its_key(older, tmp_path):
    store, old, _ = older(train_set="1" * 16)
    (outcome,) = carry.carry_constants(store, tmp_path)
    assert "made from other things" in outcome
    assert [one.run.key for one in store.records()] == [old.run.key]


def test_the_hashes_of_a_commit_are_those_that_it_gave_itself(commit, tmp_path):
    known = methods()
    hashes = carry.hashes_at(commit, tmp_path)
    assert hashes == {name: method.code_hash() for name, method in known.items()}
    pipeline = info_of("truncate+finetune", known)
    assert carry.hash_of("truncate+finetune", hashes) == pipeline.code_hash()
    assert carry.hash_of("truncate+nothing", hashes) is None


@pytest.fixture
def of_another_machine(tmp_path, commit):
    """Return a store with one run whose probabilities are a little off, and the run of today."""
    store = Store(tmp_path / "results")
    (record,) = fewbench.run(
        "majority", "demo-sentiment", k=2, seeds=13, results=store.root, offline=True
    )
    given = store.predictions(record)
    file = store.save(record, replace(given, probabilities=given.array + np.float32(1e-3)))
    assert file.exists()
    ((record, job),) = carry.jobs_of_today(list(store.records()), store, tmp_path)
    return store, record, job


def test_a_record_of_another_machine_is_held_against_the_code_before(
    of_another_machine, commit, tmp_path
):
    store, record, job = of_another_machine
    carry.hashes_at(commit, tmp_path / "before")
    assert "apart" in carry.done_again(record, job, store, tmp_path)
    assert carry.done_again(record, job, store, tmp_path, tmp_path / "before") == ""


@pytest.mark.parametrize(
    ("line", "other"),
    [("= shares", "= (0.9, 0.1)"), ("row[labels.astype(int)] = shares", "raise RuntimeError")],
)
def test_code_that_answers_otherwise_or_not_at_all_proves_nothing(
    of_another_machine, commit, tmp_path, line, other
):
    store, record, job = of_another_machine
    before = tmp_path / "before"
    carry.hashes_at(commit, before)
    file = before / "fewbench" / "methods" / "majority.py"
    text = file.read_text("utf-8")
    assert line in text
    file.write_text(text.replace(line, other), "utf-8")
    assert "apart" in carry.done_again(record, job, store, tmp_path, before)
