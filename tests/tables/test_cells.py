"""A cell holds the runs of one question: what is distinct, what shares a cell, and what is said
of both.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_record import a_record, a_run

from fewbench.report.tables.blocks import build, without_doubled
from fewbench.report.tables.entry import entries
from fewbench.report.tables.flat import to_rows
from fewbench.report.tables.marks import CODES, DOUBLED
from fewbench.report.tables.pivot import grids
from fewbench.report.today import DEFAULTS, DEFINITION
from fewbench.store.parts import Selection
from fewbench.types import Inputs, ModelRef

KNOWN = Inputs(
    "a" * 16, "b" * 16, "c" * 16, "d" * 16, protocol="e" * 16, settings="f" * 16, teacher="1" * 32
)  # fmt: skip


def made(seed=13, score=0.5, metric="accuracy", inputs=KNOWN, selection=None, **changes):
    run = {
        name: changes.pop(name)
        for name in [*changes]
        if name in ("teacher", "student", "protocol", "method")
    }
    chosen = Selection(metric=metric, **(selection or {}))
    return a_record(
        a_run(seed=seed, inputs=inputs, **run),
        scores={"test": {metric: score}},
        selection=chosen,
        **changes,
    )


def failed(inputs=KNOWN, **changes):
    whole = made(inputs=inputs, **changes)
    return replace(whole, status="failed", scores={}, selection=Selection(), error="broke")


def shown(records, **how):
    return grids(entries(build(records, {}, {}, **how)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "9" * 16}, "another definition"),
        ({"train_set": "9" * 16}, "trained on other rows"),
        ({"test_set": "9" * 16}, "tested on other rows"),
    ],
)
def test_another_definition_or_other_rows_are_another_column_and_the_note_says_which(changes, said):
    records = [made(), made(inputs=replace(KNOWN, **changes))]
    (block,) = build(records, {}, {})
    assert len(block.columns) == 2 and all(cell.n == 1 for cell in block.cells.values())
    (grid,) = shown(records)
    assert len(set(grid.header)) == len(grid.header) and "average" not in grid.header
    assert [said in note for note in grid.notes].count(True) == 1


@pytest.mark.parametrize(
    ("metric", "selection", "said"),
    [("mcc", {}, "another metric"), ("accuracy", {"positive": "spam"}, "F1 of another class")],
)
def test_another_metric_or_class_is_another_column_and_kills_no_table(metric, selection, said):
    (grid,) = shown([made(), made(seed=21, metric=metric, selection=selection)])
    assert len(set(grid.header)) == 3 and any(said in note for note in grid.notes)


def test_a_metric_that_a_record_has_no_score_by_is_a_failure_and_no_traceback():
    (block,) = build([replace(made(), scores={"test": {"mcc": 0.5}})], {}, {})
    assert [(cell.n, cell.failed) for cell in block.cells.values()] == [(0, 1)]


def test_a_record_of_before_shares_no_cell_with_one_that_says_what_it_was_made_from():
    assert len(build([made(), made(seed=21, inputs=Inputs())], {}, {})) == 2


def test_other_constants_of_one_protocol_make_another_table_of_another_name():
    one, other = shown([made(), made(seed=21, inputs=replace(KNOWN, protocol="9" * 16))])
    assert one.caption != other.caption


@pytest.mark.parametrize("field", ["settings", "unlabeled"])
def test_other_defaults_or_another_pool_are_another_row(field):
    (grid,) = shown([made(), made(seed=21, inputs=replace(KNOWN, **{field: "9" * 16}))])
    assert len(grid.rows) == 2 and grid.rows[0][0].text != grid.rows[1][0].text


def test_a_failed_run_stands_with_those_that_are_equal_in_all_else():
    (block,) = build([made(), failed(seed=21)], {}, {})
    assert [(cell.n, cell.failed) for cell in block.cells.values()] == [(1, 1)]
    (block,) = build([made(), made(seed=42, metric="mcc"), failed(seed=21)], {}, {})
    assert len(block.columns) == 3  # which of two it would have been cannot be told


def test_two_runs_of_one_cell_and_seed_are_told_and_none_is_taken():
    one, other = (
        made(seed=21, score=0.9),
        made(seed=21, score=0.1, inputs=replace(KNOWN, teacher="2" * 32)),
    )
    records = [made(score=0.5), one, other]
    (block,) = build(records, {}, {})
    (cell,) = block.cells.values()
    assert cell.scores == {13: 0.5} and set(cell.doubled[21]) == {one.run.key, other.run.key}
    (grid,) = shown(records)
    assert DOUBLED in grid.rows[0][-1].text
    assert any(one.run.key[:8] in note and other.run.key[:8] in note for note in grid.notes)
    (row,) = to_rows([block])
    assert row["seeds"] == [13] and one.run.key in row["doubled"][0]
    assert without_doubled(records) == records[:1]
    (alone,) = shown([one, other])
    assert alone.rows[0][-1].text == f"–{DOUBLED}"


@pytest.mark.parametrize("today", [{}, {"kd": "e" * 16}, {"kd": "0" * 16}])
def test_two_codes_in_one_cell_are_marked_whatever_is_known_of_today(today):
    records = [made(), made(seed=21, method_code="0" * 16)]
    (grid,) = grids(entries(build(records, today, {})))
    assert CODES in grid.rows[0][-1].text and any(note.startswith(CODES) for note in grid.notes)
    (grid,) = grids(entries(build(records[:1], today, {})))
    assert CODES not in grid.rows[0][-1].text


def test_what_is_not_of_today_is_called_earlier_and_stands_apart():
    old = made(inputs=replace(KNOWN, task="9" * 16))
    (grid,) = shown([made(), old], changed=lambda record: (DEFINITION,) if record is old else ())
    assert sum("(earlier" in head for head in grid.header) == 1
    assert any("earlier versions of their definition" in note for note in grid.notes)
    old = made(seed=21, inputs=replace(KNOWN, settings="9" * 16))
    (grid,) = shown([made(), old], changed=lambda record: (DEFAULTS,) if record is old else ())
    assert sum("(earlier defaults)" in row[0].text for row in grid.rows) == 1


def test_what_is_made_of_a_teacher_stands_under_it():
    big, tiny = ModelRef("big", "", "b" * 16), ModelRef("tiny", "", "c" * 16)
    records = [
        made(method="ptq", student=None, teacher=big),
        made(method="ft", student=tiny, teacher=None),
    ]
    (grid,) = shown(records)
    assert {(row[0].text.partition(":")[0], row[1].text) for row in grid.rows} == {
        ("ptq", "big"),
        ("ft", "tiny"),
    }
    (grid,) = shown(records[:1])
    assert "student big" in grid.caption
