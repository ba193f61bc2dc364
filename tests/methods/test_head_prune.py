"""Head pruning end to end: its record, the pipeline with fine-tuning, and what is refused."""

from __future__ import annotations

import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import pipeline
from fewbench.runner.preflight import ask_method
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job


def test_heads_go_and_the_rest_is_trained(tiny_model, tmp_path):
    method = pipeline("head-prune+finetune", methods())
    job = toy_job(
        method, tiny_model, settings={"finetune.lr": 0.001, "finetune.batch_size": 2}, keep=True
    )
    record, _ = run_job(job, Artifacts(tmp_path))
    assert (record.status, record.error) == ("ok", None)
    assert record.details["heads"] == {"of": 4, "left": 2}  # 45% of 4, rounded
    assert sorted(map(len, record.details["heads_pruned"].values())) == [
        1,
        1,
    ]  # a layer of two keeps one
    manifest, _ = Artifacts(tmp_path).read(job.model_key)
    assert manifest["changes"] == [
        {"change": "prune_heads", "heads": record.details["heads_pruned"]}
    ]


@pytest.mark.parametrize(
    ("family", "settings", "problem"),
    [("albert", {}, "share their weights"), ("bert", {"head-prune.share": 1.0}, "share is 1.0")],
)
def test_what_is_refused_before_training(tiny, family, settings, problem):
    job = toy_job(pipeline("head-prune+finetune", methods()), tiny(family), settings=settings)
    assert job.method.checks
    with pytest.raises(BenchError, match=problem) as caught:
        ask_method(job, Models(torch.device("cpu")))
    assert "head-prune+finetune" in str(caught.value)
