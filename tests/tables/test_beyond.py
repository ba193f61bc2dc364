"""Rows of what is known of runs beyond their scores, from records and measurements put there by
hand.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from stored import a_record

from fewbench.errors import BenchError
from fewbench.report.tables.beyond import Value, columns, grids, rows
from fewbench.report.tables.marks import DOUBLED, FAILED, OLD_CODE, STALE
from fewbench.report.tables.measures import FIRST_ROWS, chosen
from fewbench.store.measurement import measured, write
from fewbench.store.parts import Environment, Selection
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Inputs, Predictions

TEACHER = [[0.5, 0.5], [1.0, 0.0], [0.9, 0.1], [0.2, 0.8]]
STUDENT = [[0.25, 0.75], [0.0, 1.0], [0.9, 0.1], [0.2, 0.8]]


def save(store: Store, record: Record, probabilities: list[list[float]], score: float) -> Record:
    scores = {"dev": {"accuracy": score}, "test": {"accuracy": score}}
    record = replace(record, scores=scores, selection=Selection(metric="accuracy"))
    ids = tuple(f"test-{row}" for row in range(len(probabilities)))
    store.save(record, Predictions(ids, np.array(probabilities, np.float32)))
    stored = store.get(record.run)
    assert stored is not None
    return stored


@pytest.fixture
def filled(store: Store) -> Store:
    """A teacher on seed 13; students on seeds 13 and 21, the second without a teacher's record; one
    has a cost.
    """
    teacher = save(store, a_record(method="ft", settings={}), TEACHER, 0.5)
    told = {"teacher": {"run": teacher.run.key, "code": teacher.method_code}}
    student = save(store, replace(a_record(), details=told), STUDENT, 0.75)
    save(store, a_record(seed=21), STUDENT, 0.25)
    cost = {
        "parameters": {"total": 2_500_000},
        "speed_up": {"1": {"median": 1.5}},
        "layer_ratio": 2.0,
    }
    write(
        store,
        student,
        measured(student, "cost", settings={}, scores=cost, environment=Environment()),
    )
    attack = {"after_attack_accuracy": 0.125, "mean_queries": 97.5}
    write(
        store,
        student,
        measured(student, "attack", "cli", settings={}, scores=attack, environment=Environment()),
    )
    return store


def test_means_over_the_runs_that_have_a_figure(filled: Store):
    found = {
        row.method.partition(":")[0]: row
        for row in rows(filled.records(), filled.records(), filled, ["cost"])
    }
    assert found["kd"].n == 2
    assert found["kd"].values["score"] == Value(50, 2, 1)
    assert found["kd"].values["speed-up"] == Value(1.5, 1, 2)
    assert found["kd"].values["M parameters"] == Value(2.5, 1, 2)
    assert "speed-up" not in found["ft"].values
    assert "queries (cli)" not in found["kd"].values  # not asked for


@pytest.mark.parametrize(
    ("of", "shown"),
    [
        ({"median": 105.7, "processor": 18.9}, 18.9),  # it waited for other programs
        ({"median": 6.1, "processor": 11.8}, 6.1),  # two threads
        ({"median": 14.4}, 14.4),
    ],
)
def test_other_programs_do_not_make_a_model_slow(filled: Store, of, shown):
    (student,) = (one for one in filled.records() if one.run.method == "kd" and one.run.seed == 21)
    scores = {"latency_ms": {"1": {"model": of}}}
    write(
        filled,
        student,
        measured(student, "cost", settings={}, scores=scores, environment=Environment()),
    )
    found = rows([student], filled.records(), filled, ["cost"])
    assert [row.values["ms"] for row in found] == [Value(shown, 1, 2)]


def test_loyalty_to_its_own_teacher_and_attacks_by_recipe(filled: Store):
    found = rows(filled.records(), filled.records(), filled, ["loyalty", "attack"])
    by_method = {row.method.partition(":")[0]: row for row in found}
    assert by_method["kd"].values["label loyalty"] == Value(
        50, 1, 1
    )  # two of four, of one of two runs
    assert "label loyalty" not in by_method["ft"].values
    assert by_method["kd"].values["after-attack accuracy (cli, first rows)"] == Value(12.5, 1, 1)
    names = [
        "score",
        "label loyalty",
        "probability loyalty",
        "after-attack accuracy (cli, first rows)",
        "queries (cli, first rows)",
    ]
    assert columns(found) == names
    assert [FIRST_ROWS] in [
        grid.notes for grid in grids(found)
    ]  # of the first rows, as it says no draw


def test_an_attack_on_drawn_rows_stands_in_columns_of_its_own(filled: Store):
    second = next(record for record in filled.records() if record.run.seed == 21)
    scores = {"original_accuracy": 0.75, "after_attack_accuracy": 0.25}
    drawn = {"drawn": {"of": 4}}
    write(
        filled,
        second,
        measured(second, "attack", "cli", settings=drawn, scores=scores, environment=Environment()),
    )
    found = {
        row.method.partition(":")[0]: row
        for row in rows(filled.records(), filled.records(), filled, ["attack"])
    }
    assert found["kd"].values["original accuracy (cli)"] == Value(75, 1, 1)
    assert found["kd"].values["after-attack accuracy (cli)"] == Value(25, 1, 1)
    assert found["kd"].values["after-attack accuracy (cli, first rows)"] == Value(12.5, 1, 1)


def test_tables_of_k_and_of_full_data_stand_side_by_side(store: Store):
    for k in ("full", 16, "total-64"):
        save(store, a_record(k=k), STUDENT, 0.5)
    (first, *others) = rows(store.records(), store.records(), store, ["cost"])
    assert [first.k, *(row.k for row in others)] == [16, "total-64", "full"]


def test_how_runs_were_made_stands_behind_their_score(store: Store):
    """Two of older code, one that failed, and a seed with two runs, of which none counts."""
    inputs = Inputs("a" * 16, "b" * 16, "c" * 16, "d" * 16)
    for seed in (13, 21):
        save(store, a_record(seed=seed, inputs=inputs), STUDENT, 0.5)
    for teacher in ("1" * 32, "2" * 32):
        two = replace(inputs, teacher=teacher)
        save(store, a_record(seed=42, inputs=two), STUDENT, 0.9)
    failed = replace(a_record(seed=87, inputs=inputs), scores={}, selection=Selection(), error="no")
    store.save(replace(failed, status="failed"), None)
    (row,) = rows(store.records(), store.records(), store, ["cost"], code={"kd": "another"})
    (doubled,) = row.facts()["doubled"]
    assert doubled.startswith("42:") and "+" in doubled
    (grid,) = grids([row])
    assert grid.rows[0][-1].text == f"50.0{STALE}{DOUBLED} 1 failed"
    assert [OLD_CODE, FAILED] == grid.notes[:2]
    assert grid.notes[2].startswith(DOUBLED)


def test_a_teacher_that_is_not_shown_still_counts(filled: Store):
    students = [record for record in filled.records() if record.run.method == "kd"]
    (row,) = rows(students, filled.records(), filled, ["loyalty"])
    assert row.values["label loyalty"].n == 1


def test_what_is_not_measured_is_refused():
    with pytest.raises(BenchError, match="no kind of measurement 'loyal'") as caught:
        chosen("loyal")
    assert caught.value.nearest == ["loyalty"]


@pytest.fixture(scope="module")
def commands():
    """The commands as functions; some versions of typer and click warn when they are imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fewbench import cli
    return cli


class TestCommands:
    def test_table(self, commands, filled: Store, capsys):
        commands.table.print_measures(
            [*filled.records()], filled.records(), filled, "loyalty,cost", "markdown"
        )
        lines = capsys.readouterr().out.strip().splitlines()
        assert lines[0].endswith("means over n split seeds")
        assert (
            "| n | score | label loyalty | probability loyalty | M parameters | speed-up | layer ratio |"
            in lines[2]
        )
        # item by item 0.8161, 1 - sqrt(ln 2), 1 and 1, as in test_loyalty.py
        assert lines[-3].endswith("| 50.0 (1) | 74.6 (1) | 2.50 (1) | 1.50 (1) | 2.00 (1) |")
        assert lines[-1] == OLD_CODE  # the records' code is made up

    @pytest.mark.parametrize(
        ("form", "cost"),
        [("terminal", "2.50 (1)"), ("latex", "2.50 (1)"), ("csv", "74.5884,1,2.5,1")],
    )
    def test_other_forms(self, commands, filled: Store, capsys, form, cost):
        commands.table.print_measures(
            [*filled.records()], filled.records(), filled, "loyalty,cost", form
        )
        shown = capsys.readouterr().out
        assert cost in shown
        assert max(map(len, shown.splitlines())) <= 80 or form != "terminal"

    def test_json(self, commands, filled: Store, capsys):
        commands.table.print_measures([*filled.records()], filled.records(), filled, "cost", "json")
        _, student = json.loads(capsys.readouterr().out)
        assert student["values"]["M parameters"] == {"mean": 2.5, "n": 1, "digits": 2}

    def test_loyalty(self, commands, filled: Store, capsys):
        keys = {
            record.run.method + str(record.run.seed): record.run.key for record in filled.records()
        }
        commands.loyalty.loyalty(
            keys["ft13"], keys["kd13"], base="2", results=filled.root, json=True
        )
        found = json.loads(capsys.readouterr().out)
        assert (found["base"], found["n"], found["label"]["value"]) == ("2", 4, 0.5)
        commands.loyalty.loyalty(keys["ft13"], keys["kd13"], base="e", results=filled.root)
        assert "50.0" in capsys.readouterr().out

    def test_no_other_base(self, commands, filled: Store):
        with pytest.raises(BenchError, match="base '10'"):
            commands.loyalty.loyalty("0000", "1111", base="10", results=filled.root)
