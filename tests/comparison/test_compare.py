"""Methods against each other: which records are paired, what is refused, and what is told."""

# ruff: noqa: F811

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from versus import TASK, add, demo, of, versus  # noqa: F401

from fewbench.errors import BenchError
from fewbench.report.compare.items import Labels
from fewbench.report.compare.pairing import in_common, pairs
from fewbench.report.compare.rows import FEWEST_SEEDS, PairFound, adjust, compare, draw, to_object
from fewbench.report.compare.sides import Side, ranking, versus_all
from fewbench.report.compare.text import legend, ranks_grid, to_grid
from fewbench.report.render import markdown, terminal
from fewbench.store.store import Store
from fewbench.types import ModelRef


def test_a_method_far_better_on_five_seeds_is_told_to_be(add, store):
    for seed in range(5):
        add("new", seed, 0.9), add("old", seed, 0.6)
    (row,) = versus(store).rows
    assert row.verdict == "better" and row.low > 0.1 and row.p < 0.01 and row.tally == (5, 0, 0)
    assert row.items == len(Labels(None).of(of(store, "new")[0]).rows) and row.test == "permutation"
    assert (
        row.difference == pytest.approx(row.first - row.second)
        and row.low < row.difference < row.high
    )
    assert versus(store, "old", "new").rows[0].verdict == "worse"


def test_a_method_against_itself(add, store):
    for seed in range(5):
        add("new", seed)
    (row,) = versus(store, "new", "new").rows
    assert (row.difference, row.low, row.high, row.p, row.effect) == (0, 0, 0, 1, None)
    assert row.verdict == "not significant" and row.tally == (0, 5, 0)


def test_full_data_is_compared_beside_k(add, store):
    for k in ("full", 16):
        for seed in range(5):
            add("new", seed, 0.9, k=k), add("old", seed, 0.6, k=k)
    add("new", k=4), add("old", k="total-64")  # what one side has alone
    found = versus(store)
    assert [row.name.partition(" ")[2] for row in found.rows] == ["k16", "kfull"]
    assert all(row.verdict == "better" for row in found.rows)
    scores = in_common([of(store, "new"), of(store, "old")])
    assert [question.k for question in scores] == [16, "full"]


def test_two_seeds_are_too_few_and_it_says_so(add, store):
    for seed in (13, 21):
        add("new", seed, 0.95), add("old", seed, 0.5)
    found = versus(store)
    (row,) = found.rows
    assert row.verdict == "too few seeds" and np.isnan(row.p) and row.effect is None
    text = terminal(to_grid(found, "K=16", legend([found], 400)), 80)
    assert "? +" in text and "▲" not in text
    assert "2 seeds are too few to tell one method from another" in " ".join(text.split())


def test_other_protocols_and_test_sets_and_splits_are_refused_unless_told(add, store):
    add("new", protocol="demo"), add("old", draw=1)
    with pytest.raises(BenchError, match=r"protocol demo.*protocol quick"):
        versus(store)
    row = versus(store, anyway=True).rows[0]
    assert row.unlike == ("protocol demo against protocol quick",)
    assert row.items  # the items are the same
    found = versus(store, anyway=True)
    text = terminal(to_grid(found, "", legend([found], 400)), 80)
    assert "demo-sentiment≠" in text and "NOT COMPARABLE" in text


@pytest.mark.parametrize(
    ("field", "what"), [("test_fingerprint", "other test sets"), ("fingerprint", "other splits")]
)
def test_other_fingerprints_are_refused_unless_told(add, store, field, what):
    add("new", **{field: "another"}), add("old")
    with pytest.raises(BenchError, match=what):
        versus(store)
    row = versus(store, anyway=True).rows[0]
    assert row.unlike == (what,)
    assert (row.items == 0) == (field == "test_fingerprint")


def test_seeds_of_one_side_alone_and_failed_runs_are_left_out(add, store):
    for seed in (1, 2, 3):
        add("new", seed)
    for seed in (2, 3, 4):
        add("old", seed, draw=1)
    failed = replace(
        of(store, "old")[0], status="failed", scores={}, error="no memory", predictions=None
    )
    store.save(failed, None)
    (pair,) = pairs(of(store, "new"), of(store, "old"))
    assert pair.seeds == (3,)


def test_two_runs_of_one_seed_are_refused(add, store):
    add("new"), add("old")
    add("old", student=ModelRef("other", "", "b" * 16))
    with pytest.raises(BenchError, match="several students") as error:
        versus(store)
    assert "--student" in str(error.value) and "other, tiny" in str(error.value)


def test_nothing_in_common(add, store):
    add("new", 13), add("old", 21)
    with pytest.raises(BenchError, match="no task, K and split seed in common"):
        versus(store)


def test_without_the_data_seeds_alone_are_paired(add, store):
    for seed in range(6):
        add("new", seed, 0.9, task="not-declared"), add("old", seed, 0.6, task="not-declared")
    (row,) = versus(store).rows
    assert row.items == 0 and "not-declared is not declared here (--tasks" in row.why_no_items
    assert row.test == "none" and row.verdict == "better" and row.low > 0
    text = markdown(to_grid(versus(store), "", legend([versus(store)], 400)))
    assert "§ paired by seed alone: the task not-declared is not" in text


def test_predictions_that_do_not_give_the_recorded_score_are_refused(add, store):
    record = add("new", 13, 0.9)
    add("old")
    store.save(replace(record, scores={"test": {"accuracy": 0.123}}), store.predictions(record))
    with pytest.raises(BenchError, match=r"its record says 0\.1230"):
        versus(store)


def test_holm_is_over_all_tables_and_the_overall_rows_are_their_own_family(add, store):
    for seed in range(5):
        for number, method in enumerate(("new", "old", "older")):
            add(method, seed, 0.9 - 0.1 * number, draw=number)
            add(method, seed, 0.9 - 0.1 * number, draw=number + 9, k=4)
    sides = [Side(name, of(store, name), store) for name in ("new", "old", "older")]
    tables = versus_all(sides[0], sides[1:], Labels(None), 400)
    rows = [row for table in tables for row in table.rows]
    assert [row.name for row in rows] == [f"{TASK} k4", f"{TASK} k16"] * 2
    assert min(row.holm for row in rows) == pytest.approx(4 * min(row.p for row in rows))
    overall = [table.overall for table in tables]
    assert [row.name for row in overall] == ["mean of 1 task (2 rows)"] * 2 and overall[
        0
    ].pairs == 5
    for table in tables:
        assert table.overall.difference == pytest.approx(
            np.mean([row.difference for row in table.rows])
        )
    found = ranking(sides)
    assert found.ranking is None and found.why_none.startswith(
        "no ranks: all 3 methods have 1 task in common"
    )
    for number in range(3):
        for method, chance in (("new", 0.9), ("old", 0.8), ("older", 0.7)):
            add(
                method,
                13,
                chance,
                task=f"task-{number}",
                test_fingerprint=f"rows-{number}",
                draw=len(method),
            )
    found = ranking([Side(name, of(store, name), store) for name in ("new", "old", "older")])
    assert found.ranking.tasks == 4 and found.ks == (4, 16) and found.ranking.methods[0] == "new"
    text = markdown(ranks_grid(found))
    assert (
        "average rank over 4 tasks" in text
        and "mean over K=4, 16" in text
        and "critical difference" in text
    )


def test_ranks_take_what_all_were_run_on_alike(add, store):
    add("new", 13), add("new", 21), add("old", 13), add("old", 42, k=4)
    (methods,) = in_common([of(store, "new"), of(store, "old")]).values()
    assert [len(seeds) for seeds in methods] == [1, 1]
    assert (
        ranking([Side("new", of(store, "new"), store)]).why_none == "no ranks: there is one method"
    )


def test_the_same_numbers_each_time(add, store):
    for seed in range(3):
        add("new", seed), add("old", seed, draw=1)
    assert versus(store) == versus(store)
    assert json.loads(json.dumps(to_object(versus(store).rows[0])))["pairs_of_runs"] == 3


def test_from_the_command_line(add, bench, store, tmp_path):
    for seed in (13, 21):
        add("new", seed, 0.9), add("old", seed, 0.6, draw=1)
    for number in range(5):
        for method in ("new", "old"):
            add(
                method,
                13,
                0.9 - 0.1 * len(method),
                task=f"task-{number}",
                test_fingerprint=f"rows-{number}",
            )
    figure = tmp_path / "cd.svg"
    done = bench("compare", "new", "--against", "all", "--results", store.root, "--figure", figure)
    assert done.returncode == 0, done.stderr
    assert "new (new) against old (other) · K=16 · quick · student tiny" in done.stdout
    assert (
        "<!-- critical difference" in figure.read_text()
        and max(map(len, done.stdout.splitlines())) <= 80
    )
    done = bench("compare", "nwe", "--against", "old", "--results", store.root)
    assert done.returncode == 2 and "nearest: new" in done.stderr
    # a folder of records
    done = bench("compare", store.root, "--against", "old", "--results", store.root)
    assert done.returncode == 2 and "2 methods" in done.stderr


def test_a_model_trained_anew_under_its_name_is_another_model(add, bench, store, tmp_path):
    again = ModelRef("tiny", "", "b" * 16)
    for seed in (13, 21):
        add("new", seed, 0.9, student=again)
        for number, student in enumerate((ModelRef("tiny", "", "a" * 16), again), 1):
            add("old", seed, 0.5 + 0.2 * number, draw=number, student=student)
    compare = ("compare", "new", "--against", "old", "--results", store.root)
    done = bench(*compare)
    assert done.returncode == 2 and "tiny@aaaaaaaa, tiny@bbbbbbbb" in done.stderr
    done = bench(*compare, "--student", "tiny@bbbbbbbb")
    assert done.returncode == 0 and "student tiny@bbbbbbbb" in done.stdout
    theirs = Store(tmp_path / "theirs")
    for record in of(store, "new"):
        theirs.save(
            replace(record, run=replace(record.run, student=again)), store.predictions(record)
        )
    done = bench("compare", theirs.root, *compare[2:], "--student", "tiny@aaaaaaaa")
    assert done.returncode == 2 and "0 methods" in done.stderr
    done = bench("compare", theirs.root, *compare[2:], "--student", "tiny@bbbbbbbb")
    assert done.returncode == 0 and "student tiny@bbbbbbbb" in done.stdout
    done = bench("table", "--results", store.root, "--student", "tiny", "--format", "json")
    rows = [(row["method"], row["student"], row["n"]) for row in json.loads(done.stdout)]
    assert sorted(rows) == [
        ("new", "tiny@bbbbbbbb", 2),
        ("old", "tiny@aaaaaaaa", 2),
        ("old", "tiny@bbbbbbbb", 2),
    ]
    page = tmp_path / "page.html"
    assert bench("leaderboard", "--results", store.root, "--out", page).returncode == 0
    assert "tiny@aaaaaaaa" in page.read_text() and "tiny@bbbbbbbb" in page.read_text()


def test_verdicts_need_as_many_seeds_as_the_document_says():
    text = (Path(__file__).parents[2] / "docs/decisions/014-comparison.md").read_text("utf-8")
    assert (
        f"fewer than {['none', 'one', 'two', 'three', 'four', 'five'][FEWEST_SEEDS]} independent pairs"
        in text
    )


def test_adjust_leaves_a_lone_row_as_it_is(add, store):
    add("new"), add("old", draw=1)
    found = [PairFound(pairs(of(store, "new"), of(store, "old"))[0], "not asked")]
    (table,) = adjust([compare(("a", "b"), found, draw(found, 200), str)])
    assert table.overall is None and np.isnan(table.rows[0].p)


def test_what_items_add_is_computed_once_for_a_record_and_a_metric(add, store, monkeypatch):
    from fewbench.report.compare import items

    first, second = add("new"), add("new", seed=21)
    labels, computed = Labels(None), []
    features = items._features

    def counted(*given):
        computed.append(given[0].run.seed)
        return features(*given)

    monkeypatch.setattr(items, "_features", counted)
    right = items.SUMMED["accuracy"]
    for _ in range(2):
        one = labels.added(first, store, right)
        assert right.value(one.sum(0)) == pytest.approx(first.scores["test"]["accuracy"])
        labels.added(second, store, right)
    assert computed == [13, 21]
    with pytest.raises(BenchError, match="its record says"):  # no answer to another metric
        labels.added(first, store, items.SUMMED["f1"])
