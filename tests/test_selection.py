"""What is known of the methods in stored runs: pipelines are methods too."""

from __future__ import annotations

from types import SimpleNamespace

from fewbench.pipeline import pipeline
from fewbench.registry import methods
from fewbench.selection import code_of, count_stale, who_takes_what
from fewbench.tables.blocks import Column


def record(method, code="0" * 16):
    return SimpleNamespace(run=SimpleNamespace(method=method), method_code=code)


def test_pipelines_have_a_code_and_what_is_unknown_has_none():
    code = code_of([record("ft"), record("truncate+finetune"), record("ft+nothing"), record("gone")])
    assert code == {
        "ft": methods()["ft"].code_hash(),
        "truncate+finetune": pipeline("truncate+finetune", methods()).code_hash(),
    }
    fresh = [record(name, value) for name, value in code.items()]
    assert count_stale([*fresh, record("truncate+finetune"), record("gone")]) == 1


def test_a_pipeline_takes_what_all_its_steps_take():
    takes = who_takes_what()
    regression, single = (Column(name, "", 1, "", "") for name in ("sts-b", "sst-2"))
    assert takes("head-prune+kd", single)
    for name in ("ft", "pkd", "head-prune+kd:kd.alpha=0.5", "amulap", "ft+nothing", "gone"):
        kinds = methods().get(name) or (pipeline("head-prune+kd", methods()) if "head-prune" in name else None)
        assert takes(name, regression) == (kinds is None or "regression" in kinds.kinds), name
