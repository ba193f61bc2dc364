"""Tasks at chance stand apart: in no mean, in no rank, and told in a note."""

from __future__ import annotations

from page_browser import browser, show  # noqa: F401
from page_records import data_of, make, store_of

from fewbench.report.compare.chance import ChanceTasks, at_chance
from fewbench.report.page.write import save, to_html
from fewbench.types import ModelRef

FIVE = (13, 21, 42, 87, 100)
NOISE = (0.50, 0.52, 0.48, 0.51, 0.49)
HIGH = (0.80, 0.82, 0.81, 0.83, 0.80)
BIG = ModelRef("big", "", "1" * 16)


def runs(method, scores, task, **changes):
    """Return a run for each score."""
    pairs = zip(FIVE, scores, strict=False)
    return [make(method, task, seed=seed, score=score, **changes) for seed, score in pairs]


def both(method, **changes):
    """Return runs above the majority on one task, and at chance on another."""
    return [*runs(method, HIGH, "sst-2", **changes), *runs(method, NOISE, "rte", **changes)]


def majority():
    return [
        *runs("majority", [0.5] * 5, "sst-2", student=None),
        *runs("majority", [0.5] * 5, "rte", student=None),
    ]


def test_a_task_is_at_chance_for_a_student_or_for_all():
    """A bigger model gets above on what a smaller one does not."""
    records = [*both("ft"), *runs("ft", HIGH, "rte", student=BIG), *majority()]
    assert at_chance(both("ft") + majority()) == {"rte"}
    tasks = ChanceTasks(records)
    assert tasks.of(["tiny"]) == {"rte"}
    assert tasks.of(["big"]) == tasks.of(["tiny", "big"]) == tasks.of([]) == set()


def test_a_student_that_was_not_tested_has_no_say():
    records = [*both("ft"), *runs("ft", HIGH[:3], "rte", student=BIG), *majority()]
    assert ChanceTasks(records).of(["tiny", "big"]) == {"rte"}


def test_too_few_seeds_or_other_rows_say_nothing():
    few = [*runs("ft", NOISE[:3], "rte"), *majority()]
    others = [*runs("ft", NOISE, "rte", test_fingerprint="other"), *majority()]
    assert ChanceTasks(few).of(["tiny"]) == ChanceTasks(others).of(["tiny"]) == set()
    assert at_chance(few) == at_chance(others) == set()


def test_a_seed_with_several_runs_counts_in_no_test():
    """Neither the earlier nor the later of two scores is the seed's: four seeds are too few."""
    earlier, later = runs("ft", HIGH, "rte"), runs("ft", HIGH[:1], "rte")
    assert ChanceTasks([*earlier, *later, *majority()]).of(["tiny"]) == set()
    assert at_chance([*earlier, *later, *majority()]) == at_chance([*later, *earlier, *majority()])


def test_a_task_at_chance_is_in_no_mean_and_nobody_needs_it_to_be_ranked(tmp_path):
    store_of(tmp_path, *both("ft"), *runs("prompt-ft", HIGH, "sst-2"), *majority())
    data = data_of(tmp_path)
    (found,) = data["panels"]
    names = [data["columns"][column]["task"] for column in found["columns"]]
    apart = [data["columns"][column]["task"] for column in found["chance"]]
    assert (names, apart, len(found["rows"])) == (["sst-2"], ["rte"], 2)
    assert data["blocks"][0]["chance"] == found["chance"]


def test_where_all_tasks_are_at_chance_nothing_is_ranked(tmp_path):
    store_of(tmp_path, *runs("ft", NOISE, "rte"), *majority())
    assert data_of(tmp_path)["panels"] == []


def test_the_page_shows_them_behind_a_line_and_says_why(tmp_path, show):  # noqa: F811
    store_of(tmp_path, *both("ft"), *both("prompt-ft"), *majority())
    save(to_html(data_of(tmp_path), "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    heads = page.locator("#board thead th.chance")
    assert heads.count() == 1 and "at chance" in heads.first.inner_text()
    assert page.locator("#board td.chance.best").count() == 0
    assert "At chance: rte@lm-bff." in page.locator("#notes").inner_text()
    assert page.locator("#headline").inner_text().count("rte") == 0
    page.set_viewport_size({"width": 390, "height": 844})
    assert "at chance" in page.locator("#cards article").first.inner_text()
