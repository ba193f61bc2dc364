"""Quantisation end to end: its pipelines, what is stored, and the stored model's answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.nn.serialize import unpack
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import pipeline
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job


def test_a_pruned_and_quantised_model_is_kept(tiny_model, tmp_path):
    artifacts = Artifacts(tmp_path)
    job = toy_job(pipeline("head-prune+ptq", methods()), tiny_model, keep=True)
    record, predictions = run_job(job, artifacts)
    assert (record.status, record.error) == ("ok", None)
    assert record.details["int8"] == "int8 products"
    assert not record.warnings
    manifest, content = artifacts.read(job.model_key)
    assert [change["change"] for change in manifest["changes"]] == ["prune_heads", "quantize"]
    ref = job.run.teacher
    assert ref is not None and predictions is not None
    kept = unpack(manifest, content, job.task, ref, Models(torch.device("cpu")), {})
    assert np.allclose(kept.predict(job.split.test).array, predictions.array, atol=1e-6)


def test_nothing_follows_quantisation():
    with pytest.raises(BenchError, match="must be the last"):
        pipeline("ptq+finetune", methods())
