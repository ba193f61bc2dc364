"""What of a stored run is not what its names stand for today: each part by itself, own task files,
and submissions.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fewbench.report.query import own_files, task_names
from fewbench.report.today import (
    CONSTANTS,
    DEFAULTS,
    DEFINITION,
    TEST,
    TRAIN,
    TRIALS,
    UNRECORDED,
    Today,
)
from fewbench.runner.plan import Request, make_plan
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts
from fewbench.store.record import Record, run_key
from fewbench.store.store import Store
from fewbench.types import Inputs

TASK = """
[mood]
title = "Mood"
paper = "none"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["bad", "good"]
metric = "accuracy"
template = "{0} It was {mask}."
words = { good = "great", bad = "terrible" }
max_length = 64

[[mood.source]]
name = "files"
folder = "."
path = "mood"
train = "train"
test = "test"
texts = ["text"]
label = "label"
"""


@pytest.fixture
def moods(tmp_path):
    (tmp_path / "mood").mkdir()
    for name in ("train", "test"):
        rows = [f'{{"text": "{name} {n}", "label": {n % 2}}}\n' for n in range(12)]
        (tmp_path / "mood" / f"{name}.jsonl").write_text("".join(rows))
    file = tmp_path / "moods.toml"
    file.write_text(TASK)
    return file


@pytest.fixture
def record(moods):
    request = Request(methods=("majority",), tasks=(str(moods),), k=(2,), seeds=(13,))
    (job,) = make_plan(request, Store(moods.parent / "results")).jobs
    return Record(
        run=job.run,
        status="ok",
        scores={"test": {"accuracy": 0.5}},
        selection=Selection(metric="accuracy"),
        split=SplitFacts(),
        details={},
        method_code="0" * 16,
        environment=Environment(),
        timing=RunTiming(),
    )


def test_a_run_of_today_has_nothing_that_is_not(moods, record):
    assert Today([moods]).changed(record) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("It was", "All in all it was"),
        ('good = "great", bad = "terrible"', 'good = "terrible", bad = "great"'),
        ("max_length = 64", "max_length = 24"),
        ('metric = "accuracy"', 'metric = "mcc"'),
        ("version = 1", "version = 2"),
        ('name = "files"', 'name = "others"'),
    ],
)
def test_another_definition_under_the_same_name(moods, record, old, new):
    moods.write_text(TASK.replace(old, new))
    assert Today([moods]).changed(record) == (DEFINITION,)


@pytest.mark.parametrize(("part", "said"), [("train", TRAIN), ("test", TEST)])
def test_other_rows_beside_the_file(moods, record, part, said):
    file = moods.parent / "mood" / f"{part}.jsonl"
    file.write_text(file.read_text().replace(f"{part} 3", f"{part}  3"))
    assert Today([moods]).changed(record) == (said,)


@pytest.mark.parametrize(
    ("field", "said"), [("protocol", CONSTANTS), ("settings", DEFAULTS), ("trials", TRIALS)]
)
def test_other_constants_and_defaults(moods, record, field, said):
    run = replace(record.run, inputs=replace(record.run.inputs, **{field: "9" * 16}))
    assert Today([moods]).changed(replace(record, run=run)) == (said,)


def test_trials_are_compared_with_those_of_the_same_k(moods, record, monkeypatch):
    monkeypatch.setattr(Today, "_trials", lambda self, run, task: f"{run.k:016x}")
    inputs = replace(record.run.inputs, trials=f"{2:016x}")
    today = Today([moods])
    found = [
        today.changed(record.with_run(replace(record.run, k=k, inputs=inputs))) for k in (2, 4, 2)
    ]
    assert found == [(), (TRIALS,), ()]


def test_of_what_is_not_here_or_not_recorded_nothing_is_claimed(moods, record):
    assert Today().changed(record) == () and Today().unknown_tasks([record]) == ["mood"]
    before = replace(record, run=replace(record.run, inputs=Inputs()))
    assert Today([moods]).changed(before) == (UNRECORDED,)
    (moods.parent / "mood" / "train.jsonl").unlink()
    assert Today([moods]).changed(record) == ()


def test_own_files_stand_beside_names(moods):
    given = [f"sst-2,{moods}", "mr@lm-bff"]
    assert task_names(given) == {"sst-2", "mood", "mr@lm-bff"}
    assert own_files(given) == [moods] and own_files(None) == []


def test_tables_tell_an_edited_task_from_todays(bench, moods, record):
    store = Store(moods.parent / "results")
    store.save(record, None)
    shown = bench("table", "--tasks", moods, "--results", store.root)
    assert shown.returncode == 0 and "(earlier" not in shown.stdout and "mood" in shown.stdout
    moods.write_text(TASK.replace("It was", "So it was"))
    shown = bench("table", "--tasks", moods, "--results", store.root)
    assert shown.returncode == 0 and "(earlier" in shown.stdout and "definition" in shown.stdout
    assert "not of today: made by another definition" in bench(
        "show", record.run.key[:8], "--tasks", moods, "--results", store.root
    ).stderr  # fmt: skip
    unknown = bench("table", "--results", store.root)
    assert "not declared here" in unknown.stderr and "mood" in unknown.stderr


def test_a_submission_is_checked_against_the_users_own_task(moods, record):
    from pathlib import PurePosixPath

    from fewbench.report.share.gather import FoundRecord
    from fewbench.report.share.submit import Checker

    found = [FoundRecord(PurePosixPath("x.json"), record, b"", None)]
    assert any("is not declared here" in text for text in Checker(None).check(found).problems)
    fresh = Checker(None, [moods]).check(found).problems
    assert not any("definition" in text or "rows" in text for text in fresh)
    moods.write_text(TASK.replace("max_length = 64", "max_length = 24"))
    assert any(
        "another definition" in text for text in Checker(None, [moods]).check(found).problems
    )


def test_a_comparison_says_how_many_runs_are_not_of_today(bench, moods, record):
    store = Store(moods.parent / "results")
    other = replace(record.run, method="ft")
    other = replace(other, key=run_key(other))
    for one in (record, replace(record, run=other)):
        store.save(one, None)
    asked = ("compare", "ft", "--against", "majority", "--tasks", moods, "--results", store.root)
    said = "made from earlier versions of their definition"
    assert said not in bench(*asked).stdout
    moods.write_text(TASK.replace("It was", "So it was"))
    assert f"2 of 2 runs were {said}" in " ".join(bench(*asked).stdout.split())
