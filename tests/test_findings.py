"""docs/findings.md is what scripts/describe_findings.py writes, and its figures are those of the
records.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT
from scipy import stats

from fewbench.registry.protocols import get_protocol
from fewbench.store.measurement import Measurement, measured, write
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts
from fewbench.store.record import Record, run_key
from fewbench.store.store import Store
from fewbench.types import ModelRef, Predictions, Run

sys.path.insert(0, str(PROJECT / "scripts"))
from describe_findings import Finding, Models, describe, read_findings

MICRO = ModelRef("fewbench-micro", "", "a" * 16)
PAIR = Models("fewbench-micro", "fewbench-mini", "small")


def save(
    store: Store,
    method: str,
    seed: int,
    score: float,
    *,
    task: str = "mood",
    test: str = "test",
    rows: object = None,
    **details: object,
) -> str:
    """Store a run with a test accuracy, and return its key."""
    blank = Run(
        task=task, task_version=1, source="here", method=method, settings={}, student=MICRO, teacher=None, k=16,
        seed=seed, protocol="quick", fingerprint=f"split-{seed}", test_fingerprint=test,
    )  # fmt: skip
    run = Run(**{name: getattr(blank, name) for name in blank.__slots__} | {"key": run_key(blank)})
    predictions = Predictions(("a", "b"), np.array(rows or [[0.6, 0.4], [0.3, 0.7]], "f4"))
    record = Record(
        run=run,
        status="ok",
        scores={"test": {"accuracy": score}},
        selection=Selection(metric="accuracy"),
        split=SplitFacts(),
        details=details,
        method_code="0" * 16,
        environment=Environment(),
        timing=RunTiming(),
    )
    store.save(record, predictions)
    return run.key


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def told(store, **changes):
    finding = Finding(
        **{"claim": "New is above old", "place": "Table 1", "first": "new", "second": "old"}
        | changes
    )
    return describe([finding], [PAIR], store)


def test_difference_spread_and_seeds_by_hand(store):
    for seed, (new, old) in enumerate([(0.7, 0.6), (0.8, 0.6), (0.6, 0.65)]):
        save(store, "new", seed, new)
        save(store, "old", seed, old)
    text = told(store)
    assert "| mood † | 16 | 70.0 ±8.2 | 61.7 ±2.4 | +8.3 | 2 of 3 |" in text
    assert "Mean of 1 task +8.3 [" in text and "too few seeds to tell" in text
    assert "| New is above old | +8.3 not significant |" in text


def test_tasks_weigh_alike_and_a_gap_on_every_seed_shows(store):
    for task, gain, seeds in (("mood", 0.1, 6), ("tone", 0.3, 3)):
        for seed in range(seeds):
            save(store, "new", seed, 0.5 + gain + seed % 3 / 1000 - 0.001, task=task, test=task)
            save(store, "old", seed, 0.5, task=task, test=task)
    text = told(store)
    assert "Mean of 2 tasks +20.0 [+19.9, +20.1]" in text
    assert "| New is above old | +20.0 shows |" in text
    assert "| New is above old | -20.0 the opposite shows |" in told(
        store, first="old", second="new"
    )


def test_p_is_corrected_for_the_number_of_claims(store):
    for seed, gain in enumerate((0.1, -0.02, 0.08, 0.02, 0.09, 0.04)):
        save(store, "new", seed, 0.5 + gain)
        save(store, "old", seed, 0.5)
    finding = Finding("New is above old", "Table 1", "new", "old")
    p = stats.ttest_1samp((0.1, -0.02, 0.08, 0.02, 0.09, 0.04), 0).pvalue
    assert f"p = {p:.3f}, corrected {p:.3f}: **shows**" in describe([finding], [PAIR], store)
    several = describe([finding, finding, finding], [PAIR], store)
    assert several.count(f"p = {p:.3f}, corrected {3 * p:.3f}: **not significant**") == 3


def test_spread_is_the_distance_from_the_mean_of_the_seeds(store):
    for seed, (new, old) in enumerate([(0.4, 0.5), (0.6, 0.5), (0.4, 0.52), (0.6, 0.48)]):
        save(store, "new", seed, new)
        save(store, "old", seed, old)
    assert "| mood † | 16 | 10.0 ±0.0 | 1.0 ±1.0 | +9.0 | 4 of 4 |" in told(store, measure="spread")


def test_loyalty_is_to_each_runs_own_teacher(store):
    teacher = save(store, "ft", 0, 0.9, rows=[[0.9, 0.1], [0.2, 0.8]])
    taught = {"teacher": {"run": teacher, "code": "0" * 16}}
    save(store, "new", 0, 0.5, rows=[[0.7, 0.3], [0.4, 0.6]], **taught)
    save(store, "old", 0, 0.5, rows=[[0.7, 0.3], [0.6, 0.4]], **taught)
    assert "| mood † | 16 | 100.0 ±0.0 | 50.0 ±0.0 | +50.0 | 1 of 1 |" in told(
        store, measure="label-loyalty"
    )


def test_what_was_not_run_is_said(store):
    save(store, "new", 0, 0.5)
    assert "| New is above old | not compared |" in told(store)
    assert "not compared: no stored run has the method 'old'." in told(store)


def test_a_loyalty_without_the_teachers_run_is_not_compared(store):
    for method in ("new", "old"):
        save(store, method, 0, 0.5, teacher={"run": "f" * 32, "code": "0" * 16})
    text = told(store, measure="label-loyalty")
    assert "not compared: the teachers' runs are not stored" in text


def test_a_task_at_chance_counts_in_no_mean(store):
    """Above the majority on one task, on the other not: by the seeds of both methods."""
    for task, scores in (
        ("mood", (0.71, 0.72, 0.7, 0.73, 0.74)),
        ("rte", (0.5, 0.52, 0.48, 0.51, 0.49)),
    ):
        for seed, value in enumerate(scores):
            save(store, "majority", seed, 0.5, task=task, test=task)
            save(store, "new", seed, value, task=task, test=task)
            save(store, "old", seed, value - 0.1, task=task, test=task)
    text = told(store)
    assert "| rte †, at chance | 16 |" in text
    assert "Mean of 1 task +10.0" in text


def test_a_seed_counts_once_on_each_test_set(store):
    """Three seeds on each of two test sets are not six: too few to say that a task is at chance."""
    for test in ("one", "two"):
        for seed, value in enumerate((0.51, 0.49, 0.5)):
            save(store, "majority", seed, 0.5, test=test)
            save(store, "new", seed, value, test=test)
            save(store, "old", seed, value - 0.1, test=test)
    assert "| mood † | 16 |" in told(store)


def test_where_nothing_has_enough_seeds_no_task_is_at_chance(store):
    """Three seeds far above the majority were once called "at chance", untested."""
    for seed, value in enumerate((0.71, 0.72, 0.7)):
        save(store, "majority", seed, 0.5)
        save(store, "new", seed, value)
        save(store, "old", seed, value - 0.1)
    assert "| mood † | 16 |" in told(store)


def test_a_task_that_cannot_be_compared_is_named_and_the_others_count(store):
    for seed, value in enumerate((0.7, 0.8, 0.6)):
        save(store, "new", seed, value)
        save(store, "old", seed, value - 0.1)
        save(store, "new", seed, value, task="odd", test="one")
        save(store, "old", seed, value, task="odd", test="two")
    text = told(store)
    assert "Mean of 1 task +10.0" in text
    reason = "the two methods' runs answer different questions: other test sets"
    assert f"Not compared: odd@here K=16: {reason}." in text


def test_accuracy_after_an_attack_on_rows_drawn_at_random(store):
    """An attack on the first rows does not count, nor does one by another recipe."""
    asked = {"measure": "accuracy after an attack"}
    for seed in range(3):
        save(store, "new", seed, 0.9)
        save(store, "old", seed, 0.9)
    for record in [*store.records()]:
        write(store, record, attacked(record, 0.1))
        write(store, record, attacked(record, 0.2, "a-recipe", drawn={"of": 4}))
    assert "not compared: the attacks are not stored" in told(store, **asked)
    for record in [*store.records()]:
        after = 0.5 if record.run.method == "new" else 0.25
        write(store, record, attacked(record, after, drawn={"of": 4}))
    assert "| mood † | 16 | 50.0 ±0.0 | 25.0 ±0.0 | +25.0 | 3 of 3 |" in told(store, **asked)


def attacked(
    record: Record, after: float, recipe: str = "textfooler-paper", **settings: object
) -> Measurement:
    """Return the measurement of an attack."""
    scores = {"after_attack_accuracy": after}
    return measured(
        record, "attack", recipe, settings=settings, scores=scores, environment=Environment()
    )


def test_a_claim_of_the_teachers_model(store):
    assert "`fewbench-mini`: not compared" in told(store, of="teacher")


def test_every_finding_names_methods_that_exist():
    from fewbench.registry.settings import choose_methods

    findings, models = read_findings(PROJECT / "scripts" / "findings" / "findings.toml")
    assert [pair.student for pair in models] == ["minilm-l3-mlm", "fewbench-micro"]
    for finding in findings:
        assert choose_methods([finding.first, finding.second])


def test_the_document_holds_what_the_script_writes():
    command = [
        sys.executable,
        str(PROJECT / "scripts" / "describe_findings.py"),
        "--results",
        str(PROJECT / "results"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=300, check=True
    )
    assert done.stdout == (PROJECT / "docs" / "findings.md").read_text("utf-8")


def test_what_else_a_paper_did_names_the_protocols_own_constants(store):
    steps = get_protocol("quick").prepare["pretrain_steps"]
    reading = "Prepared by {pretrain_steps} updates."
    assert f"Prepared by {steps} updates." in told(store, reading=reading)
