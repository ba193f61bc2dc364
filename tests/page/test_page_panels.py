"""Ranks on the page: who is ranked, on which tasks, and who cannot be distinguished from the first."""

from __future__ import annotations

import pytest
from page_records import SEEDS, data_of, failed, make, store_of

from fewbench.report.compare.items import Labels
from fewbench.report.compare.sides import sides_of, versus_all
from fewbench.report.page.panels import shared_tasks, suite_tasks
from fewbench.report.statistics.interval import interval
from fewbench.report.wanted import Wanted
from fewbench.store.cell import TaskCell
from fewbench.types import ModelRef

FIVE = (*SEEDS, 87, 100)
BIG = ModelRef("big", "", "1" * 16)


def cell(task: str, source: str = "x", template: str = "") -> TaskCell:
    return TaskCell(task, source, template, 1, "d", "t", "s", "accuracy")


def runs(method, scores, *, task="sst-2", **changes):
    """Return a run for each score, on the first seeds."""
    pairs = zip(FIVE, scores, strict=False)
    return [make(method, task, seed=seed, score=score, **changes) for seed, score in pairs]


def panel(data, suite="all", student=""):
    (found,) = [p for p in data["panels"] if (p["suite"], p["student"]) == (suite, student)]
    return found


def ranked(data, found):
    return [(data["rows"][row]["label"], average) for row, average, *_ in found["rows"]]


def test_only_rows_with_every_shared_task_are_ranked_and_baselines_are_not(tmp_path):
    data = data_of(
        store_of(
            tmp_path,
            *runs("ft", [0.5] * 3, task="mr"),
            *runs("ft", [0.7] * 3),
            *runs("prompt-ft", [0.8] * 3, task="mr"),
            *runs("prompt-ft", [0.9] * 3),
            *runs("zero-shot", [0.99] * 3),
            *runs("majority", [0.95] * 3, student=None),
            *runs("majority", [0.95] * 3, task="mr", student=None),
        )
    )
    found = panel(data)
    assert [data["columns"][c]["task"] for c in found["columns"]] == ["mr", "sst-2"]
    assert ranked(data, found) == [("prompt-ft", 85.0), ("ft", 60.0)]
    ((baseline, average),) = found["baselines"]
    assert (data["rows"][baseline]["label"], average) == ("majority", 95.0)


def test_settings_of_a_method_are_ranked_once_and_models_apart(tmp_path):
    data = data_of(
        store_of(
            tmp_path,
            *runs("ft", [0.5] * 3),
            *runs("ft", [0.9] * 3, settings={"lr": 1.0}),
            *runs("ft", [0.6] * 3, student=BIG),
            *runs("prompt-ft", [0.8] * 3, settings={"lr": 1.0}),
        )
    )
    assert ranked(data, panel(data)) == [("prompt-ft:lr=1.0", 80.0), ("ft", 60.0), ("ft", 50.0)]
    assert ranked(data, panel(data, student="big")) == [("ft", 60.0)]


def test_a_model_is_ranked_on_the_tasks_that_its_own_rows_share(tmp_path):
    records = []
    for method in ("ft", "pkd", "prompt-ft"):
        records += [*runs(method, [0.5] * 3, task="mr"), *runs(method, [0.6] * 3)]
    for method in ("ft", "pkd"):
        records += runs(method, [0.8] * 3, student=BIG)
        records += runs(method, [0.9] * 3, task="cr", student=BIG)
    data = data_of(store_of(tmp_path, *records))
    names = [column["task"] for column in data["columns"]]
    assert [names[c] for c in panel(data)["columns"]] == ["mr", "sst-2"]
    assert {names[c] for c in panel(data, student="big")["columns"]} == {"cr", "sst-2"}
    assert ranked(data, panel(data, student="big")) == [("ft", 85.0), ("pkd", 85.0)]


def test_failed_and_doubled_cells_are_not_ranked(tmp_path):
    data = data_of(
        store_of(tmp_path, *runs("ft", [0.5] * 3), failed("prompt-ft", "sst-2", "it broke"))
    )
    assert ranked(data, panel(data)) == [("ft", 50.0)]


def test_a_suite_is_ranked_only_where_it_is_complete(tmp_path):
    records = runs("ft", [0.5], task="race-middle", source="race")
    data = data_of(store_of(tmp_path, *records))
    assert {found["suite"] for found in data["panels"]} == {"all"}
    data = data_of(store_of(tmp_path, *runs("ft", [0.5], task="race-high", source="race")))
    assert ranked(data, panel(data, "race")) == [("ft", 50.0)]


def test_the_first_is_compared_with_the_others_as_bench_compare_does(tmp_path):
    store_of(
        tmp_path,
        *runs("prompt-ft", [0.80, 0.82, 0.81, 0.83, 0.80]),
        *runs("ft", [0.79, 0.83, 0.80, 0.82, 0.81]),
        *runs("zero-shot", [0.50, 0.52, 0.49, 0.51, 0.50]),
    )
    found = panel(data_of(tmp_path))
    assert [row[2] for row in found["rows"]] == ["first", "same", "apart"]
    new, others = sides_of("prompt-ft", ["all"], tmp_path, Wanted())
    by_hand = {table.second: table.rows[0] for table in versus_all(new, others, Labels(None), 1000)}
    for (_, _, _, difference, low, high, p, pairs, *_), name in zip(
        found["rows"][1:], ("ft", "zero-shot"), strict=True
    ):
        assert difference == pytest.approx(-100 * by_hand[name].difference, abs=0.01)
        assert (low, high) == (
            pytest.approx(-100 * by_hand[name].high, abs=0.01),
            pytest.approx(-100 * by_hand[name].low, abs=0.01),
        )
        assert p == pytest.approx(by_hand[name].holm, abs=1e-4) and pairs == 5


def test_with_too_few_seeds_nothing_is_told(tmp_path):
    found = panel(data_of(store_of(tmp_path, *runs("ft", [0.5, 0.6]), *runs("pkd", [0.1, 0.2]))))
    assert [row[2] for row in found["rows"]] == ["first", "open"]


def test_a_win_is_a_task_and_an_entry_that_is_beaten(tmp_path):
    data = data_of(
        store_of(
            tmp_path,
            *runs("ft", [0.5] * 3, task="mr"),
            *runs("ft", [0.9] * 3),
            *runs("pkd", [0.5] * 3, task="mr"),
            *runs("pkd", [0.4] * 3),
        )
    )
    assert [row[8] for row in panel(data)["rows"]] == [75.0, 25.0]  # a win and a tie; a tie


def test_shared_tasks_are_those_that_rank_the_most_scores():
    a, b, c = cell("a"), cell("b"), cell("c")
    assert shared_tasks([{a, b}, {a, b}, {a, b, c}]) == [a, b]
    assert shared_tasks([{a, b, c}, {a, b, c}, {a, c}]) == [a, c]
    assert shared_tasks([{a, b, c}] * 3 + [{a, b}]) == [a, b, c]
    assert shared_tasks([{a}, {a}, {b}]) == [a]
    assert shared_tasks([{a, b, c}, {a}]) == [a]
    assert shared_tasks([]) == []


def test_a_member_of_a_suite_is_the_task_that_most_rows_have():
    one, other = cell("a", "x"), cell("a", "y")
    counts = {one: 1, other: 2, cell("a", "x", "prompt"): 9, cell("b"): 1}
    assert suite_tasks(["a", "b"], counts) == [other, cell("b")]
    assert suite_tasks(["a@x"], counts) == [one]
    assert suite_tasks(["a", "c"], counts) == []


def test_the_interval_of_a_mean_is_students():
    """By hand: s = 1, n = 3, t = 4.3027; 4.3027 / sqrt 3 = 2.4842."""
    low, high = interval([1.0, 2.0, 3.0])
    assert (low, high) == (pytest.approx(2 - 2.4842, abs=1e-3), pytest.approx(4.4842, abs=1e-3))
    assert interval([1.0]) == interval([2.0, 2.0]) == (None, None)
