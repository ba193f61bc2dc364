"""The sections of a model's card say what the store knows of its run."""

from __future__ import annotations

from stores import add, change, demo, measure, theirs  # noqa: F401

from fewbench.export.card_sections import StoredRuns, sections
from fewbench.store.parts import Environment, RunTiming
from fewbench.store.store import Store, load

COST = {"parameters": {"total": 2.5e6}, "latency_ms": {"1": {"model": {"median": 3.25}}}}


def of(record, task, store):
    texts = sections(record, task, StoredRuns(store))
    return {text.split("\n")[0].removeprefix("## "): text for text in texts}


def test_other_seeds_costs_and_attacks_are_in_it(add, demo, theirs):
    file, other = add(13), add(21, first=1)
    change(
        file,
        timing=RunTiming(finished="2026-11-28T15:04:13Z", total_seconds=2.0),
        environment=Environment(submitter="Ada", dirty=False),
    )
    measure(file), measure(file, "", "cost", COST)
    record = load(file)
    parts = of(record, demo.task, Store(theirs))
    scores = [100 * load(one).scores["test"]["accuracy"] for one in (file, other)]
    mean, std = sum(scores) / 2, abs(scores[0] - scores[1]) / 2**0.5
    assert f"{mean:.1f} ± {std:.1f} (ddof 1)" in parts["Scores"]
    assert "2.50" in parts["Cost"] and "| ms | 3.25 |" in parts["Cost"]
    assert "20.0" in parts["Robustness"] and "31.5" in parts["Robustness"]
    assert "2026-11-28T15:04:13Z, by Ada" in parts["Training"]
    assert "no teacher" in parts["Loyalty to its teacher"]


def test_one_seed_alone_and_nothing_measured(add, demo, theirs):
    record = load(add(13))
    parts = of(record, demo.task, Store(theirs))
    assert "says nothing of other splits" in parts["Scores"]
    assert f"bench cost {record.run.key[:8]}" in parts["Cost"]
    assert "bench attack" in parts["Robustness"]
