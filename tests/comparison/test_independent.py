"""What counts as independent: tasks and not K, seeds that vary, whole test sets; verdicts fit what
is shown.
"""

# ruff: noqa: F811

from __future__ import annotations

import numpy as np
import pytest
from versus import TASK, add, demo, of, versus  # noqa: F401

from fewbench.data.leaks import fingerprint
from fewbench.data.split import draw as draw_rows
from fewbench.errors import BenchError
from fewbench.report.compare.items import Labels
from fewbench.report.compare.sides import Side, versus_all
from fewbench.report.compare.text import legend, to_grid
from fewbench.report.render import terminal
from fewbench.types import Inputs


def test_many_k_of_one_task_are_one_task(add, store):
    def run(*seeds):
        for k in (1, 2, 4, 8):
            for seed in seeds:
                add("new", seed, 0.95, k=k, draw=k), add("old", seed, 0.5, k=k, draw=k)
        return versus(store).overall

    overall = run(13, 21)
    assert overall.name == "mean of 1 task (4 rows)"
    assert overall.pairs == 2 and overall.verdict == "too few seeds" and np.isnan(overall.p)
    assert run(42).verdict == "too few seeds"
    overall = run(87, 100)
    assert overall.pairs == 5 and overall.verdict == "better" and overall.holm < 0.05


def test_copies_of_a_row_tell_no_more_than_the_row(add, store):
    for seed in range(5):
        for method, chance, draw in (("new", 0.72, 1), ("old", 0.65, 2)):
            add(method, seed, chance, draw=draw)
    alone = versus(store).rows[0]
    for k in (1, 2, 4, 8):
        for seed in range(5):
            for method, chance, draw in (("new", 0.72, 1), ("old", 0.65, 2)):
                add(method, seed, chance, draw=draw, k=k)
    overall = versus(store).overall
    assert (overall.low, overall.high) == pytest.approx((alone.low, alone.high))
    assert (
        overall.p == pytest.approx(alone.p) and overall.pairs == 5 and overall.items == alone.items
    )


def test_limited_runs_are_a_table_of_their_own_on_the_rows_that_were_drawn(add, store, demo):
    drawn = draw_rows(demo.rows, 60)
    for seed in range(5):
        add("new", seed, 0.9), add("old", seed, 0.6)
        for method, chance in (("new", 0.9), ("old", 0.6)):
            add(method, seed, chance, rows=drawn, limit=60, test_fingerprint=fingerprint(drawn))
    sides = [Side(name, of(store, name), store) for name in ("new", "old")]
    whole, part = versus_all(sides[0], sides[1:], Labels(None), 400)
    assert (whole.kept, part.kept) == ("", "60 drawn test rows")
    assert whole.overall is None and part.overall is None
    assert part.rows[0].items == 60 and not part.rows[0].why_no_items


def test_methods_that_do_not_vary_are_one_pair_of_runs(add, store):
    for seed in range(6):
        (
            add("flat", seed, 0.9, seeded=0),
            add("low", seed, 0.6, seeded=0, draw=1),
            add("old", seed, 0.6),
        )
    (row,) = versus(store, "flat", "low").rows
    assert row.fixed and row.pairs == 1 and row.tally == (1, 0, 0) and row.test == "McNemar"
    assert row.verdict == "better"
    text = " ".join(
        terminal(
            to_grid(found := versus(store, "flat", "low"), "", legend([found], 400)), 80
        ).split()
    )
    assert "on this test set alone" in text
    (row,) = versus(store, "flat", "old").rows
    assert not row.fixed and row.pairs == 6


def test_a_verdict_never_contradicts_what_is_shown(add, store):
    verdicts = set()
    for draw_, chance in enumerate((0.6, 0.62, 0.65, 0.7, 0.75, 0.8, 0.9)):
        for seed in range(5):
            add(f"m{draw_}", seed, chance, draw=draw_)
    sides = [Side(name, of(store, name), store) for name in (f"m{number}" for number in range(7))]
    for side in sides:
        for table in versus_all(
            side, [other for other in sides if other is not side], Labels(None), 300
        ):
            for row in table.rows:
                verdicts.add(row.verdict)
                assert (row.verdict in ("better", "worse")) == (row.holm < 0.05)
                if row.verdict != "not significant":
                    assert (row.low > 0) == (row.verdict == "better") and (row.high < 0) == (
                        row.verdict == "worse"
                    )
                assert row.holm >= row.p and (row.p >= 0.05 or not row.low <= 0 <= row.high)
    assert verdicts == {"better", "worse", "not significant"}


def test_records_of_another_definition_are_not_compared(add, store):
    def of_task(digit):
        return Inputs(task=digit * 16, train_set="b" * 16, test_set="c" * 16, protocol="d" * 16)

    add("new", inputs=of_task("1")), add("old", inputs=of_task("2"), draw=1)
    with pytest.raises(BenchError, match="other definitions of the task"):
        versus(store)
    assert versus(store, anyway=True).rows[0].unlike == ("other definitions of the task",)
    add("old", inputs=of_task("1"), draw=2)
    found = versus(store)
    assert (
        len(found.rows) == 1
        and "runs of the second are left out: other definitions" in found.notes[0]
    )
    add("new", 21), add("old", 21, inputs=of_task("1"))
    assert any("before schema 5" in note for note in versus(store).notes)


def test_tasks_on_the_same_test_rows_are_one(add, store):
    for seed in range(3):
        for task in (TASK, "mine"):
            add("new", seed, 0.9, task=task), add("old", seed, 0.6, task=task)
    found = versus(store)
    assert found.overall.name == "mean of 1 task (2 rows)" and found.overall.pairs == 3
    assert "demo-sentiment and mine are tested on the same rows" in found.notes[0]
