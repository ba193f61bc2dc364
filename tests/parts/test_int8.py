"""Int8 layers against the paper's rounding by hand, and models of them kept and rebuilt."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load

from fewbench.nn import quantize as quantize_room
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.quantize import Int8Linear, quantize
from fewbench.nn.serialize import pack, unpack
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task


@pytest.mark.parametrize("per_channel", [True, False])
def test_products_are_those_of_whole_numbers(per_channel):
    torch.manual_seed(0)
    linear = torch.nn.Linear(48, 20)
    states = torch.randn(7, 48) * torch.logspace(-3, 3, 7)[:, None]
    layer = Int8Linear(linear, per_channel)
    weight, bias = linear.weight.detach().double().numpy(), linear.bias.detach().double().numpy()
    largest = np.abs(weight).max(1) if per_channel else np.full(20, np.abs(weight).max())
    whole = np.rint(weight / largest[:, None] * 127)
    assert np.array_equal(layer.weight.numpy(), whole)
    x = states.double().numpy()
    unit = np.abs(x).max(1, keepdims=True)
    expected = np.rint(x / unit * 63) @ whole.T * (unit / 63) * (largest / 127) + bias
    np.testing.assert_allclose(layer(states).numpy(), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected[3] - (x @ weight.T + bias)[3]).max() < 0.05  # a token of ordinary size
    assert torch.equal(layer(states[2:3]), layer(states)[2:3])  # whatever else is in the batch
    assert torch.isfinite(layer(torch.zeros(1, 48))).all()


def test_the_largest_products_do_not_overflow():
    linear = torch.nn.Linear(512, 4)
    torch.nn.init.constant_(linear.weight, 0.5)
    assert torch.allclose(
        Int8Linear(linear)(torch.ones(1, 512)), 256 + linear.bias.detach(), rtol=1e-4
    )


def test_other_devices_round_alike(monkeypatch):
    torch.manual_seed(0)
    layer = Int8Linear(torch.nn.Linear(32, 8))
    states = torch.randn(5, 32)

    class Elsewhere(torch.Tensor):
        device = torch.device("meta")

    found = layer(states.as_subclass(Elsewhere)).as_subclass(torch.Tensor)
    assert torch.allclose(found, layer(states), atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "electra"])
def test_a_model_in_int8_is_close_and_can_be_kept(tiny, family):
    torch.manual_seed(0)
    models, ref = Models(torch.device("cpu")), find_model(str(tiny(family)))
    model = HeadModel(models.fresh(ref), toy_task("single")).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    test = toy_rows(model.task).test
    full = model.predict(test).array
    quantize(model.backbone)
    found = model.predict(test).array
    assert 0 < np.abs(found - full).max() < 0.05
    manifest, content = pack(model, {})
    assert manifest["changes"] == [{"change": "quantize", "per_channel": True}]
    layers = 1 if family == "albert" else 2
    assert sum(tensor.dtype == torch.int8 for tensor in load(content).values()) == 6 * layers
    assert np.array_equal(
        unpack(manifest, content, model.task, ref, models, {}).predict(test).array, found
    )
    assert np.array_equal(copy.deepcopy(model).predict(test).array, found)


@pytest.mark.parametrize("shape", [(7, 24), (3, 5, 24), (1, 24)])
def test_tokens_that_go_in_parts_have_the_same_outputs(monkeypatch, shape):
    torch.manual_seed(0)
    layer, states = Int8Linear(torch.nn.Linear(24, 10)), torch.randn(shape)
    whole = layer(states)
    monkeypatch.setattr(quantize_room, "TOKENS_AT_ONCE", 2)
    assert torch.equal(layer(states), whole)
    assert whole.shape == (*shape[:-1], 10)
