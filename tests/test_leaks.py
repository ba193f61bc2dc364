"""`--drop-leaks`: test rows that also stand in train or dev are not scored, and every record and
table says so.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from fewbench.data.leaks import fingerprint
from fewbench.data.reader import read_rows
from fewbench.data.split import make_split
from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.report.render import latex, markdown, to_csv
from fewbench.report.tables.blocks import build
from fewbench.report.tables.entry import entries
from fewbench.report.tables.flat import to_rows
from fewbench.report.tables.pivot import grids
from fewbench.runner.plan import Request, make_plan
from fewbench.runner.run import carry_out
from fewbench.store.record import from_json, to_json
from fewbench.store.store import Store
from fewbench.testing import toy_rows, toy_task
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
def request_of(tmp_path):
    """All rows of train stand in test, in capitals and with a mark, and four more: what leaks
    depends on the split.
    """
    (tmp_path / "mood").mkdir()
    train = [{"text": f"train {n}", "label": n % 2} for n in range(12)]
    test = [{"text": f"TRAIN {n}!", "label": n % 2} for n in range(12)] + [
        {"text": f"new {n}", "label": n % 2} for n in range(4)
    ]
    for name, rows in (("train", train), ("test", test)):
        (tmp_path / "mood" / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows)
        )
    (tmp_path / "moods.toml").write_text(TASK)

    def request(**changes):
        given = {
            "methods": ("majority",),
            "tasks": (str(tmp_path / "moods.toml"),),
            "k": (2,),
            "seeds": (13, 21),
        }
        return Request(**given | changes)

    request.store = Store(tmp_path / "results")
    return request


def test_each_split_leaves_out_its_own_leaks(request_of):
    jobs = make_plan(request_of(drop_leaks=True), request_of.store).jobs
    whole = make_plan(request_of(), request_of.store).jobs
    assert [len(job.split.test) for job in jobs] == [8, 8] and [
        len(job.split.test) for job in whole
    ] == [16, 16]
    for job, other in zip(jobs, whole, strict=True):
        used = {example.texts[0] for example in (*job.split.train, *job.split.dev)}
        left_out = {e.id for e in other.split.test} - {e.id for e in job.split.test}
        assert left_out == {f"test-{text.split()[1]}" for text in used}
        assert (
            job.split.leaks == {"exact": 0, "normalised": 8, "within_test": 0} == other.split.leaks
        )
        assert job.split.dropped == 8 and other.split.dropped == 0
        assert (
            job.split.whole_fingerprint
            == other.split.test_fingerprint
            == other.split.whole_fingerprint
        )
        assert (
            job.run.key != other.run.key and job.run.test_fingerprint != other.run.test_fingerprint
        )
        assert (job.split.fingerprint, job.run.drop_leaks) == (other.split.fingerprint, True)
    assert jobs[0].run.test_fingerprint != jobs[1].run.test_fingerprint


def test_the_fingerprint_is_of_what_was_scored(request_of):
    for job in make_plan(request_of(drop_leaks=True), request_of.store).jobs:
        rows = read_rows(job.task, None)
        kept = [row for row in rows.test if row.id in {example.id for example in job.split.test}]
        assert job.run.test_fingerprint == fingerprint(kept)
        assert all(example.label is None for example in job.split.test)


def test_the_rows_that_are_left_are_scored(request_of):
    job = make_plan(request_of(drop_leaks=True), request_of.store).jobs[0]
    record, predictions = carry_out(job, Models(torch.device("cpu")), 1)
    assert record.status == "ok" and predictions is not None and not record.comparable
    assert predictions.ids == tuple(example.id for example in job.split.test)
    # majority answers the first class, and the label is the parity of the row's number
    assert (
        record.scores["test"]["accuracy"]
        == sum(int(i.split("-")[1]) % 2 == 0 for i in predictions.ids) / 8
    )
    assert (
        record.split.n_test == 8
        and record.split.dropped == 8
        and record.split.leaks["normalised"] == 8
    )
    assert record.split.whole_test_fingerprint == job.split.whole_fingerprint
    assert from_json(to_json(record), "here").run.drop_leaks


def test_runs_with_and_without_leaks_share_no_table(request_of):
    records = []
    for drop in (False, True):
        for job in make_plan(request_of(drop_leaks=drop), request_of.store).jobs:
            records.append(carry_out(job, Models(torch.device("cpu")), 1)[0])
    whole, dropped = build(records, {}, {})
    assert (whole.terms.drop_leaks, dropped.terms.drop_leaks) == (False, True)
    for block in (
        whole,
        dropped,
    ):  # seeds that leave out other rows of one test set stand in one cell
        assert [cell.n for cell in block.cells.values()] == [2]
    mark = "without test rows that stand in train or dev: NOT COMPARABLE"
    for draw in (markdown, latex):
        assert [mark in draw(grid) for grid in grids(entries([whole, dropped]))] == [False, True]
    assert [row["drop_leaks"] for row in to_rows([whole, dropped])] == [False, True]
    assert "drop_leaks" in to_csv(to_rows([whole])).splitlines()[0]


def test_rows_of_another_test_set_stand_in_another_column(request_of):
    records = [
        carry_out(job, Models(torch.device("cpu")), 1)[0]
        for job in make_plan(request_of(drop_leaks=True), request_of.store).jobs
    ]
    records = [
        replace(record, run=replace(record.run, inputs=Inputs())) for record in records
    ]  # of schema 4
    records[1] = replace(
        records[1], split=replace(records[1].split, whole_test_fingerprint="0" * 16)
    )
    assert len(build(records, {}, {})[0].columns) == 2


def test_a_limit_counts_before_leaks_are_left_out():
    task = toy_task("single")
    rows = toy_rows(task)
    seen = make_split(task, rows, 2, 13).train[0]
    drawn = make_split(task, rows, 2, 13, limit=3).test
    at = [example.id for example in rows.test].index(drawn[0].id)
    leaked = rows._replace(test=(*rows.test[:at], replace(seen, id="test-x"), *rows.test[at + 1 :]))
    split = make_split(task, leaked, 2, 13, limit=3, drop_leaks=True)
    assert split.test == drawn[1:]
    assert split.dropped == 1


def test_a_test_set_of_leaks_alone_is_refused():
    task = toy_task("single")
    rows = toy_rows(task)
    seen = make_split(task, rows, 2, 13).train[0]
    with pytest.raises(BenchError, match="every test row also occurs in train or dev"):
        make_split(task, rows._replace(test=(replace(seen, id="test-x"),)), 2, 13, drop_leaks=True)
