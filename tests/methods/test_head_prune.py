"""Head pruning end to end: its record, the pipeline with fine-tuning, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.nn.serialize import unpack
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


def test_heads_of_shared_layers_are_masked(tiny, tmp_path):
    method = pipeline("head-prune+finetune", methods())
    job = toy_job(method, tiny("albert"), settings={"finetune.batch_size": 2}, keep=True)
    record, predictions = run_job(job, Artifacts(tmp_path))
    assert (record.status, record.error) == ("ok", None)
    assert record.details["heads"] == {"of": 4, "left": 2}
    manifest, content = Artifacts(tmp_path).read(job.model_key)
    assert manifest["changes"] == [
        {"change": "mask_heads", "heads": record.details["heads_pruned"]}
    ]
    models = Models(torch.device("cpu"))
    kept = unpack(manifest, content, job.task, job.run.teacher, models, {})
    assert np.allclose(kept.predict(job.split.test).array, predictions.array, atol=1e-6)


def test_what_is_refused_before_training(tiny_model):
    settings = {"head-prune.share": 1.0}
    job = toy_job(pipeline("head-prune+finetune", methods()), tiny_model, settings=settings)
    assert job.method.checks
    with pytest.raises(BenchError, match=r"share is 1\.0") as caught:
        ask_method(job, Models(torch.device("cpu")))
    assert "head-prune+finetune" in str(caught.value)
