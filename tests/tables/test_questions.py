"""Records of different questions share no cell, whatever they are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fewbench.record import from_json
from fewbench.tables.blocks import build
from fewbench.tables.pivot import entries, grids
from fewbench.types import Inputs

HISTORIC = Path(__file__).parent.parent / "historic" / "schema5.json"


def record(seed=13, score=0.5, metric="accuracy", **inputs):
    """Return a finished record, made from the stored one's inputs but for some."""
    one = from_json(HISTORIC.read_text("utf-8"), str(HISTORIC))
    run = replace(one.run, seed=seed, inputs=replace(one.run.inputs, **inputs))
    selection = {**one.selection, "metric": metric}
    return replace(one, run=run, selection=selection, scores={"dev": {metric: score}, "test": {metric: score}})


def columns(*records):
    (block,) = build(records, {}, {})
    return [[cell.scores for (_, other), cell in block.cells.items() if other == column] for column in block.columns]


@pytest.mark.parametrize("what", ["task", "train_set", "test_set", "protocol"])
def test_what_a_run_was_made_from_tells_columns_apart(what):
    assert columns(record(), record(21, 0.6)) == [[{13: 0.5, 21: 0.6}]]
    both = columns(record(), record(score=0.9, **{what: "f" * 16}))
    assert sorted(scores[13] for (scores,) in both) == [0.5, 0.9]


def test_runs_that_do_not_say_what_they_were_made_from_stand_apart():
    old = record(score=0.9)
    old = replace(old, run=replace(old.run, inputs=Inputs()))
    assert len(columns(record(), old)) == 2


def test_another_metric_is_another_column_and_no_crash():
    both = columns(record(), record(score=0.7, metric="mcc"))
    assert sorted(scores[13] for (scores,) in both) == [0.5, 0.7]


def test_twins_are_named_and_explained():
    blocks = build([record(), record(score=0.9, task="f" * 16)], {}, {})
    (grid,) = grids(entries(blocks))
    assert sum("#" in head for head in grid.header) == 2
    assert any(note.startswith("# tells runs apart") for note in grid.notes)
