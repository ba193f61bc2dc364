"""What is known of the methods in stored runs: pipelines are methods too."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from fewbench.registry.methods import methods
from fewbench.registry.pipeline import pipeline
from fewbench.report.query import Wanted, code_of, count_stale, models_apart, who_takes_what
from fewbench.store.cell import TaskCell
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts
from fewbench.store.record import Record, run_key
from fewbench.types import CorpusRef, ModelRef, Run


def record(method, code="0" * 16):
    return SimpleNamespace(run=SimpleNamespace(method=method), method_code=code)


def test_pipelines_have_a_code_and_what_is_unknown_has_none():
    code = code_of(
        [record("ft"), record("truncate+finetune"), record("ft+nothing"), record("gone")]
    )
    assert code == {
        "ft": methods()["ft"].code_hash(),
        "truncate+finetune": pipeline("truncate+finetune", methods()).code_hash(),
    }
    fresh = [record(name, value) for name, value in code.items()]
    assert count_stale([*fresh, record("truncate+finetune"), record("gone")]) == 1


def test_a_pipeline_takes_what_all_its_steps_take():
    takes = who_takes_what()
    regression, single = (TaskCell(name, "", "", 1, "", "", "", "") for name in ("sts-b", "sst-2"))
    assert takes("head-prune+kd", single)
    for name in ("ft", "pkd", "head-prune+kd:kd.alpha=0.5", "amulap", "ft+nothing", "gone"):
        kinds = methods().get(name) or (
            pipeline("head-prune+kd", methods()) if "head-prune" in name else None
        )
        assert takes(name, regression) == (kinds is None or "regression" in kinds.kinds), name


def test_models_of_one_name_and_several_revisions_get_names_of_their_own():
    small, big, grown = (
        ModelRef(name, "", digit * 16)
        for name, digit in (("s", "1"), ("lab/b", "2"), ("lab/b", "3"))
    )
    blank = Run(
        task="mood", task_version=1, source="here", method="ft", settings={}, student=small, teacher=big, k=16, seed=1,
        protocol="quick", fingerprint="split", test_fingerprint="test", corpus=CorpusRef("b", "", "4" * 16),
    )  # fmt: skip
    runs = [
        blank,
        replace(blank, student=grown, teacher=None),
        replace(blank, student=None, teacher=None, corpus=None),
    ]
    records = [
        Record(
            run=replace(run, key=run_key(run)),
            status="ok",
            scores={},
            selection=Selection(),
            split=SplitFacts(),
            details={},
            method_code="0" * 16,
            environment=Environment(),
            timing=RunTiming(),
        )
        for run in runs
    ]
    first, second, third = models_apart(records)
    assert (first.run.student, first.run.corpus) == (small, blank.corpus)
    assert first.run.teacher == replace(big, name="lab/b@22222222")
    assert second.run.student == replace(grown, name="lab/b@33333333")
    assert third is records[2]
    assert [run_key(one.run) for one in (first, second)] == [one.run.key for one in records[:2]]
    assert models_apart(records[1:]) == records[1:]
    for name in ("b", "lab/b", "b@33333333", "lab/b@33333333"):
        assert second in Wanted(student=name), name
    assert records[2] in Wanted(student="b") and records[0] in Wanted(student="s@11111111")
    assert second not in Wanted(student="b@22222222") and first not in Wanted(teacher="b@33333333")
    made_of_teacher = replace(first, run=replace(first.run, student=None))
    for given in (
        {},
        {"student": "b"},
        {"teacher": "b"},
        {"student": "s@11111111", "teacher": "b"},
    ):
        assert made_of_teacher in Wanted(**given), given
    assert made_of_teacher not in Wanted(student="s@11111111")
