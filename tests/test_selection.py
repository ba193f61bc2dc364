"""What is known of the methods in stored runs: pipelines are methods too."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fewbench.errors import BenchError
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import pipeline
from fewbench.report.query import code_of, count_stale, models_apart, who_takes_what
from fewbench.report.wanted import Wanted
from fewbench.store.cell import TaskCell
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts
from fewbench.store.record import Record, run_key
from fewbench.store.store import Store
from fewbench.types import CorpusRef, ModelRef, Run


def record(method, code="0" * 16):
    return SimpleNamespace(run=SimpleNamespace(method=method), method_code=code)


def made(run):
    """Return a finished record of a run, without scores."""
    return Record(
        run=run,
        status="ok",
        scores={},
        selection=Selection(),
        split=SplitFacts(),
        details={},
        method_code="0" * 16,
        environment=Environment(),
        timing=RunTiming(),
    )


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
    records = [made(replace(run, key=run_key(run))) for run in runs]
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


def test_a_model_that_no_stored_run_has_is_refused():
    """Methods that use no model would be left alone, as if they were the answer."""
    small, large = ModelRef("small-mlm", "", "1" * 16), ModelRef("large-mlm", "", "2" * 16)
    taught = SimpleNamespace(run=SimpleNamespace(student=small, teacher=large, k=16))
    without = SimpleNamespace(run=SimpleNamespace(student=None, teacher=None, k=16))
    for name in ("large-mlm", "large-mlm@22222222", "models/large-mlm"):
        Wanted(student=name, teacher=name).check([taught, without], "results")
    Wanted(student="anything").check([without], "results")  # no method uses a model
    with pytest.raises(BenchError) as refused:
        Wanted(student="smal-mlm").check([taught, without], "results")
    told = " ".join(str(refused.value).split())
    assert "no stored run has the student 'smal-mlm'" in told
    assert "nearest: small-mlm, large-mlm allowed: large-mlm, small-mlm" in told
    with pytest.raises(BenchError, match="no stored run has the teacher 'large'"):
        Wanted(teacher="large").check([taught, without], "results")


def test_a_protocol_or_k_that_no_stored_run_has_is_refused():
    kinds = [("full", "full"), ("quick", 16), ("quick", 4)]
    stored = [
        SimpleNamespace(run=SimpleNamespace(protocol=protocol, k=k, student=None, teacher=None))
        for protocol, k in kinds
    ]
    Wanted(protocol="nothing-stored", ks=[17]).check([], "results")
    Wanted(protocol="quick", ks=[16, 17]).check(stored, "results")  # one of them is there
    with pytest.raises(BenchError) as refused:
        Wanted(protocol="quik").check(stored, "results")
    told = " ".join(str(refused.value).split())
    assert "no stored run has the protocol 'quik'" in told
    assert "nearest: quick allowed: full, quick" in told
    with pytest.raises(BenchError) as refused:
        Wanted(ks=[17, "total-32"]).check(stored, "results")
    told = " ".join(str(refused.value).split())
    assert "no stored run has K=17 or K=total-32" in told and "allowed: 4, 16, full" in told


@pytest.mark.parametrize(
    "command",
    [
        ["table"],
        ["ls", "runs"],
        ["compare", "majority", "--against", "all"],
        ["plot", "k-scaling", "--out", "made.svg"],
        ["paper", "--out", "made"],
        ["export", "csv", "--out", "made"],
        ["export", "card", "majority"],
        ["export", "eee", "--out", "made"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_every_command_that_selects_runs_refuses_what_none_has(bench, tmp_path, command):
    model = ModelRef("small-mlm", "", "1" * 16)
    for method in ("ft", "majority"):
        run = Run(
            task="mood", task_version=1, source="here", method=method, settings={}, k=16, seed=1,
            student=model if method == "ft" else None, teacher=None, protocol="quick",
            fingerprint="split", test_fingerprint="test",
        )  # fmt: skip
        Store(tmp_path / "results").save(made(replace(run, key=run_key(run))), None)
    done = bench(*command, "--student", "smal-mlm", cwd=tmp_path)
    assert done.returncode == 2 and "nearest: small-mlm" in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
