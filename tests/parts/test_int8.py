"""Int8 layers against the paper's rounding by hand, and models of them kept and rebuilt."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load

from fewbench.nn import encoder
from fewbench.nn import int8 as int8_room
from fewbench.nn.batch import Encoded, Tokens, collate
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.int8 import INPUT_STEPS, TINY, Int8Linear, _packed, outputs_beside
from fewbench.nn.prune import mask_heads
from fewbench.nn.quantize import quantize
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
    monkeypatch.setattr(int8_room, "TOKENS_AT_ONCE", 2)
    assert torch.equal(layer(states), whole)
    assert whole.shape == (*shape[:-1], 10)


def plain(layer, states):
    """Return a layer's outputs by the formula, all tokens at once, each step by itself."""
    unit = states.abs().amax(-1, keepdim=True).clamp_min(TINY)
    product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
        states / unit, 1 / INPUT_STEPS, INPUT_STEPS + 1, _packed([layer]).weight
    )
    return torch.addcmul(layer.bias, product, unit)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("shape", [(1, 20), (300, 33), (4096, 16), (7, 45, 24), (0, 24)])
def test_outputs_are_those_of_the_formula_to_the_bit(shape, per_channel):
    torch.manual_seed(0)
    layer = Int8Linear(torch.nn.Linear(shape[-1], 13), per_channel)
    states = torch.randn(shape).mul_(torch.rand(*shape[:-1], 1) * 30)
    states.view(-1, shape[-1])[::5] = 0
    before = states.clone()
    assert torch.equal(layer(states), plain(layer, states))
    assert torch.equal(states, before)
    assert torch.equal(layer(states.requires_grad_()), plain(layer, before))


@torch.no_grad()
@pytest.mark.parametrize("family", ["bert", "distilbert", "albert"])
@pytest.mark.parametrize("masked", [False, True])
def test_layers_that_go_in_parts_have_the_same_states(tiny, monkeypatch, family, masked):
    torch.manual_seed(0)
    backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny(family)))).eval()
    if masked:
        mask_heads(backbone, {0: [0]})
    quantize(backbone)
    sequences = [
        Tokens((*torch.randint(5, 20, (5 + n % 9,)).tolist(),), (0,) * (5 + n % 9))
        for n in range(90)
    ]
    batch = collate([Encoded((each,), None) for each in sequences], torch.device("cpu"))
    found = [*backbone.hidden_states(batch), backbone.read(batch)]
    monkeypatch.setattr(int8_room, "TOKENS_AT_ONCE", 10_000)
    whole = [*backbone.hidden_states(batch), backbone.read(batch)]
    monkeypatch.setattr(Int8Linear, "forward", plain)
    monkeypatch.setattr(encoder, "all_int8", lambda layers: [])
    for states, at_once, formula in zip(
        found, whole, [*backbone.hidden_states(batch), backbone.read(batch)], strict=True
    ):
        assert torch.equal(states, at_once) and torch.equal(states, formula)


@pytest.mark.parametrize("shape", [(300, 20), (2, 3, 20), (1, 20)])
def test_layers_that_read_the_same_share_one_product(shape):
    """The scales of the second layer are one for the matrix; weights that are loaded are read."""
    torch.manual_seed(0)
    kinds = ((7, True), (5, False), (12, True))
    layers = [Int8Linear(torch.nn.Linear(20, out), by_row) for out, by_row in kinds]
    states = torch.randn(shape)
    for _ in "12":
        expected = torch.cat([plain(layer, states) for layer in layers], -1)
        assert torch.equal(outputs_beside(layers, states), expected)
        layers[1].load_state_dict(Int8Linear(torch.nn.Linear(20, 5)).state_dict())
    assert torch.equal(
        outputs_beside(copy.deepcopy(layers), states), outputs_beside(layers, states)
    )
    assert set(layers[0].state_dict()) == {"weight", "scale", "bias"}
