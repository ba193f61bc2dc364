"""Fake quantisation against Q8BERT's rounding by hand, its gradient, and models of it kept."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.quantize import fake_quantize, observed_ranges
from fewbench.nn.rounding import FakeQuantizedEmbedding, FakeQuantizedLinear
from fewbench.nn.rounding import fake_quantize as rounded
from fewbench.nn.serialize import pack, unpack
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task


def grid(values, largest):
    """Clamp(round(x S), -M, M) / S with S = M / max |x| and M = 2^(8 - 1) - 1."""
    scale = 127 / largest
    return np.clip(np.rint(values * scale), -127, 127) / scale


def test_rounding_and_its_straight_through_gradient():
    values = torch.tensor([-3.0, -0.4, 0.0, 0.011, 0.9, 2.0], requires_grad=True)
    found = rounded(values, torch.tensor(1.0))
    by_hand = grid(values.detach().double().numpy(), 1.0)
    np.testing.assert_allclose(found.detach().numpy(), by_hand, atol=1e-6)
    assert by_hand.tolist() == pytest.approx([-1, -51 / 127, 0, 1 / 127, 114 / 127, 1])
    (found * torch.arange(6.0)).sum().backward()
    assert values.grad.tolist() == [0, 1, 2, 3, 4, 5]  # also of what was cut off


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_linear_layer_rounds_weights_and_inputs(per_channel):
    torch.manual_seed(0)
    linear = torch.nn.Linear(6, 4)
    layer = FakeQuantizedLinear(linear, per_channel, decay=0.75)
    first, second = torch.randn(5, 6), 3 * torch.randn(5, 6)
    ranges = [first.abs().max().item(), second.abs().max().item()]
    weight = linear.weight.detach().double().numpy()
    largest = np.abs(weight).max(1, keepdims=True) if per_channel else np.abs(weight).max()
    for states, moved in (
        (first, ranges[0]),
        (second, 0.75 * ranges[0] + 0.25 * ranges[1]),
    ):
        found = layer(states).detach().numpy()
        inputs = grid(states.double().numpy(), moved)
        by_hand = inputs @ grid(weight, largest).T + linear.bias.detach().double().numpy()
        np.testing.assert_allclose(found, by_hand, atol=1e-5)
    layer.eval()
    before = layer.input_range.item()
    whole = layer(second)
    assert layer.input_range.item() == before
    assert torch.allclose(layer(second[:1]), whole[:1], atol=1e-6)  # whatever else is in the batch


def test_an_embedding_is_rounded_by_the_whole_matrix():
    torch.manual_seed(0)
    embedding = torch.nn.Embedding(9, 3)
    found = FakeQuantizedEmbedding(embedding)(torch.tensor([4, 1]))
    weight = embedding.weight.detach().double().numpy()
    by_hand = grid(weight, np.abs(weight).max())[[4, 1]]
    np.testing.assert_allclose(found.detach().numpy(), by_hand, atol=1e-6)
    found.sum().backward()
    assert embedding.weight.grad[[4, 1]].eq(1).all() and embedding.weight.grad.sum() == 6


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "electra"])
def test_a_rounded_model_is_close_and_can_be_kept(tiny, family):
    torch.manual_seed(0)
    models, ref = Models(torch.device("cpu")), find_model(str(tiny(family)))
    model = HeadModel(models.fresh(ref), toy_task("single")).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    rows = toy_rows(model.task)
    full = model.predict(rows.test).array
    fake_quantize(model.backbone, decay=0.9)
    with observed_ranges(model.backbone):
        model.predict(rows.train)
    found = model.predict(rows.test).array
    assert 0 < np.abs(found - full).max() < 0.05
    assert np.array_equal(model.predict(rows.test).array, found)
    manifest, content = pack(model, {})
    change = {"change": "fake_quantize", "per_channel": False, "decay": 0.9}
    assert manifest["changes"] == [change]
    kept = unpack(manifest, content, model.task, ref, models, {})
    assert np.array_equal(kept.predict(rows.test).array, found)
    assert np.array_equal(copy.deepcopy(model).predict(rows.test).array, found)
