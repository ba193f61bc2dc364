"""LayerDrop: which layers stay by hand, what training runs, and the model that is left."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.methods.layerdrop import LayerDraws, every_other, random_layers
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.serialize import unpack
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.runner.preflight import ask_method
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job, toy_rows, toy_task

LAYERDROP = methods()["layerdrop"]


def test_every_other_layer_stays():
    """Fan et al., 2020: the layers d = 0 (mod floor(1 / p)) are pruned, counted from 1."""
    assert every_other(12, 0.5) == [0, 2, 4, 6, 8, 10]
    assert every_other(12, 0.25) == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert every_other(12, 0.2) == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
    assert every_other(2, 0.5) == [0]


def test_each_layer_is_left_out_by_itself_and_never_all():
    draws = LayerDraws(0.5, seed=1)
    drawn = [draws.draw(3) for _ in range(4000)]
    assert all(drawn) and {tuple(sorted(layers)) for layers in drawn} == {tuple(d) for d in drawn}
    shares = [sum(layer in layers for layers in drawn) / 4000 for layer in range(3)]
    assert shares == pytest.approx([4 / 7] * 3, abs=0.03)  # 0.5 / (1 - 0.5^3)


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_training_runs_drawn_layers_and_the_rest_the_kept_ones(tiny, family):
    model = HeadModel(
        Models(torch.device("cpu")).fresh(find_model(str(tiny(family)))), toy_task("single")
    )
    whole = model.backbone.layers
    with random_layers(model.backbone, LayerDraws(0.5, seed=3), [0]):
        model.eval()
        assert [layer.query for layer in model.backbone.layers] == [whole[0].query]
        model.train()
        counts = {len(model.backbone.layers) for _ in range(30)}
        assert counts == {1, 2}
        model.loss(model.collate(model.encode(toy_rows(model.task).train[:2]))).backward()
    assert len(model.backbone.layers) == 2


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "electra"])
def test_the_model_that_is_left_is_shallower_and_kept(tiny, tmp_path, family):
    artifacts = Artifacts(tmp_path)
    job = toy_job(LAYERDROP, tiny(family), settings={"batch_size": 2, "lr": 0.01}, keep=True)
    record, predictions = run_job(job, artifacts)
    assert (record.status, record.error) == ("ok", None)
    assert record.details["layers"] == {"of": 2, "kept": [1]}
    manifest, content = artifacts.read(job.model_key)
    assert manifest["changes"] == [{"change": "truncate", "layers": [0]}]
    kept = unpack(manifest, content, job.task, job.run.student, Models(torch.device("cpu")), {})
    assert len(kept.backbone.layers) == 1
    assert np.allclose(kept.predict(job.split.test).array, predictions.array, atol=1e-6)


@pytest.mark.parametrize("drop", [0.0, 0.3, 0.6])
def test_what_prunes_nothing_or_all_is_refused_before_training(tiny_model, drop):
    job = toy_job(LAYERDROP, tiny_model, settings={"drop": drop})
    with pytest.raises(BenchError, match=f"drop is {drop}, and the model has 2 layers"):
        ask_method(job, Models(torch.device("cpu")))
