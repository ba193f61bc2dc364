"""Quantisation end to end: its pipelines, what is stored, and the stored model's answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load

from fewbench.errors import BenchError
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.serialize import unpack
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import pipeline
from fewbench.registry.settings import choose_methods
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


def test_nothing_follows_quantisation_to_whole_numbers():
    with pytest.raises(BenchError, match="must be the last") as caught:
        choose_methods(["ptq+finetune"])
    assert "finetune+ptq" in str(caught.value)
    assert "ptq+finetune:ptq.static=True" in str(caught.value)
    (choice,) = choose_methods(["ptq+finetune:ptq.q8bert"])
    assert choice.settings == {"ptq.per_channel": False, "ptq.static": True}


def test_static_ranges_are_those_of_the_training_texts(tiny_model, tmp_path):
    artifacts = Artifacts(tmp_path)
    preset = {"per_channel": False, "static": True}
    job = toy_job(methods()["ptq"], tiny_model, settings=preset, keep=True)
    record, _ = run_job(job, artifacts)
    assert (record.status, record.error) == ("ok", None)
    assert "static" in record.details["int8"]
    context = context_of(job, artifacts)
    source = context.source().eval()
    embedded = source.backbone.embed(source.collate(source.encode(job.split.train)))
    model = (
        methods()["ptq"]
        .module()
        .transform(context.source(), job.task, job.split, context, **preset)
    )
    rounded = model.backbone.embed(model.collate(model.encode(job.split.train)))
    assert torch.allclose(rounded, embedded, atol=0.1) and not torch.equal(rounded, embedded)
    largest = model.backbone.layers[0].query.input_range
    assert largest.item() == pytest.approx(rounded.abs().max().item())


@pytest.mark.parametrize("step", ["finetune", "kd"])
def test_a_quantised_model_is_trained_on(tiny_model, tmp_path, step):
    name = f"ptq+{step}"
    job = toy_job(
        pipeline(name, methods()),
        tiny_model,
        settings={"ptq.static": True, f"{step}.lr": 0.01},
        keep=True,
    )
    artifacts = Artifacts(tmp_path)
    record, predictions = run_job(job, artifacts)
    assert (record.status, record.error) == ("ok", None)
    manifest, content = artifacts.read(job.model_key)
    assert [change["change"] for change in manifest["changes"]] == ["fake_quantize"]
    source = context_of(job, artifacts).teacher().state_dict()
    trained = load(content)
    moved = {
        name for name in source if not torch.equal(trained.get(name, source[name]), source[name])
    }
    assert "backbone.model.bert.encoder.layer.0.attention.self.query.weight" in moved
    assert "backbone.model.bert.embeddings.word_embeddings.weight" in moved
    kept = unpack(manifest, content, job.task, job.run.teacher, Models(torch.device("cpu")), {})
    assert np.allclose(kept.predict(job.split.test).array, predictions.array, atol=1e-6)


def test_quantisation_aware_training_rounds_while_it_trains(tiny_model, tmp_path):
    artifacts = Artifacts(tmp_path)
    job = toy_job(methods()["qat"], tiny_model, settings={"lr": 0.01}, keep=True)
    record, predictions = run_job(job, artifacts)
    assert (record.status, record.error) == ("ok", None)
    manifest, content = artifacts.read(job.model_key)
    ranges = [tensor for name, tensor in load(content).items() if name.endswith("input_range")]
    assert len(ranges) == 12 and all(ranges)
    kept = unpack(manifest, content, job.task, job.run.student, Models(torch.device("cpu")), {})
    assert np.allclose(kept.predict(job.split.test).array, predictions.array, atol=1e-6)


def context_of(job, artifacts):
    models = Models(torch.device("cpu"))
    refs = (job.run.student, job.run.teacher, None)
    return FitContext(job.task, job.split, job.protocol, 1, models, *refs, job.supplies, artifacts)
