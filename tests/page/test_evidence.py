"""Stored results of a method, by task."""

from __future__ import annotations

from page_records import make, store_of

from fewbench.report.evidence import evidence
from fewbench.store.store import Store


def test_the_evidence_of_a_method_is_its_runs_by_task_and_k(tmp_path):
    runs = [("ft", 4, 13, 0.4), ("ft", 16, 13, 0.5), ("ft", 16, 21, 0.6)]
    records = [make(method, k=k, seed=seed, score=score) for method, k, seed, score in runs]
    store_of(tmp_path, *records, make("truncate+kd", teacher=None))
    found = evidence(Store(tmp_path))
    assert [*found] == ["ft", "kd", "truncate"]
    best, other = found["ft"]
    assert (best.k, best.n, best.mean, best.task) == (16, 2, 55.0, "sst-2@lm-bff")
    assert (other.k, other.n, other.mean, other.std) == (4, 1, 40.0, None)
    assert best.low < 55.0 < best.high
    assert found["kd"] == found["truncate"]
