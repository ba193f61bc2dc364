"""Head importance against differences of the loss, and pruning against masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewbench.errors import ModelError
from fewbench.methods.head_prune.head_importance import (
    head_importance,
    least_important,
    masked_heads,
)
from fewbench.nn.classifier import HeadModel
from fewbench.nn.encoder import run_layer
from fewbench.nn.fit_context import Models
from fewbench.nn.prune import mask_heads, prune_heads
from fewbench.nn.serialize import duplicate, pack, unpack
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task


@pytest.fixture
def made(tiny):
    """A maker of fine-tuning models with four heads a layer whose weights are far from trivial."""

    def make(family="bert"):
        torch.manual_seed(0)
        models, ref = Models(torch.device("cpu")), find_model(str(tiny(family)))
        original = models.pretrained(ref)
        original.config.num_attention_heads = original.config.n_heads = (
            4  # a width of 16 as four heads
        )
        for module in original.model.modules():
            for name in ("num_attention_heads", "n_heads"):
                if hasattr(module, name):
                    setattr(module, name, 4)
            if hasattr(module, "attention_head_size"):
                module.attention_head_size = 4
                module.scaling = 4**-0.5
        for parameter in original.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
        return HeadModel(models.fresh(ref), toy_task("single")).eval(), models

    return make


def test_importance_is_the_mean_size_of_the_losss_slope(made):
    model, _ = made()
    examples = model.encode(toy_rows(model.task).train[:3])
    found = head_importance(model, examples)

    def loss(layer, head, value, example):
        masks = [torch.ones(4) for _ in range(2)]
        masks[layer][head] = value
        with masked_heads(model.backbone, masks), torch.no_grad():
            return float(model.double().loss(model.collate([example])))

    for layer, head in ((0, 0), (0, 3), (1, 2)):
        slopes = [
            (loss(layer, head, 1.001, e) - loss(layer, head, 0.999, e)) / 0.002 for e in examples
        ]
        assert float(found[layer][head]) == pytest.approx(np.mean(np.abs(slopes)), rel=1e-3)


def test_the_least_important_heads_go_but_the_last_of_a_layer_stays():
    importance = [
        torch.tensor([3.0, 4.0]),
        torch.tensor([0.3, 0.1, 0.2]),
    ]  # by norms: .6 .8 and .80 .27 .53
    assert least_important(importance, 2) == {1: [1, 2]}
    assert least_important(importance, 3) == {0: [0], 1: [1, 2]}
    assert least_important(importance, 5) == {0: [0], 1: [1, 2]}
    assert least_important(importance, 0) == {}


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
def test_a_pruned_model_is_the_masked_one(made, family):
    model, models = made(family)
    gone = {0: [1, 3], 1: [0]}
    masks = [torch.tensor([1.0, 0, 1, 0]), torch.tensor([0.0, 1, 1, 1])]
    test = toy_rows(model.task).test
    with masked_heads(model.backbone, masks):
        expected = model.predict(test).array
    whole = sum(p.numel() for p in model.parameters())
    full = model.predict(test).array
    prune_heads(model.backbone, gone)
    pruned = model.predict(test).array
    np.testing.assert_allclose(pruned, expected, atol=1e-5)
    assert np.abs(pruned - full).max() > 1e-3
    assert [layer.heads for layer in model.backbone.layers] == [2, 3]
    assert whole - sum(p.numel() for p in model.parameters()) == 3 * (4 * 4 * 16 + 3 * 4)

    read = unpack(*pack(model, {}), model.task, model.backbone.ref, models, {})
    assert np.array_equal(read.predict(test).array, pruned)

    # transformers' own forward pass, and a second cut that counts the heads that are left
    batch = model.collate(model.encode(test[:1]))
    inner = getattr(model.backbone.model, model.backbone.model.base_model_prefix)
    segments = {} if family == "distilbert" else {"token_type_ids": batch.segments[None]}
    theirs = inner(input_ids=batch.ids[None], **segments).last_hidden_state[0]
    assert torch.allclose(model.backbone.hidden_states(batch)[-1], theirs, atol=1e-5)
    prune_heads(model.backbone, {"1": [0, 1]})
    assert [layer.heads for layer in model.backbone.layers] == [2, 1]
    assert np.array_equal(
        unpack(*pack(model, {}), model.task, model.backbone.ref, models, {}).predict(test).array,
        model.predict(test).array,
    )


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_a_masked_head_says_nothing_in_its_layer_alone(made, family):
    """ALBERT's layers are one module; without the columns of a head's output it is the same."""
    model, models = made(family)
    batch = model.collate(model.encode(toy_rows(model.task).test[:3]))
    before = model.backbone.hidden_states(batch)
    output = model.backbone.layers[1].output
    with torch.no_grad():
        whole = output.weight.clone()
        output.weight[:, 4:8] = 0  # the second of four heads
        by_hand = run_layer(model.backbone.layers[1], before[1], batch, False)
        output.weight.copy_(whole)
    mask_heads(model.backbone, {1: [1]})
    states = model.backbone.hidden_states(batch)
    assert torch.equal(states[1], before[1])  # in the first layer the same module is whole
    assert torch.allclose(states[2], by_hand, atol=1e-5)
    assert (states[2] - before[2]).abs().max() > 1e-3
    manifest, content = pack(model, {})
    assert manifest["changes"] == [{"change": "mask_heads", "heads": {"1": [1]}}]
    read = unpack(manifest, content, model.task, model.backbone.ref, models, {})
    assert torch.equal(read.backbone.hidden_states(batch)[2], states[2])
    copied = duplicate(model).eval()
    assert torch.equal(copied.backbone.hidden_states(batch)[2], states[2])


def test_importance_of_shared_layers_is_by_layer(made):
    model, _ = made("albert")
    examples = model.encode(toy_rows(model.task).train[:2])
    first, second = head_importance(model, examples)
    assert not torch.allclose(first, second, rtol=1e-3)


@pytest.mark.parametrize(
    ("family", "heads", "problem"),
    [
        ("bert", {0: [0, 1, 2, 3]}, "lose all its heads"),
        ("bert", {0: [4]}, "has no heads"),
        ("bert", {2: [0]}, "no layer 2"),
        ("albert", {0: [0]}, "share their weights"),
    ],
)
def test_heads_that_cannot_go(made, family, heads, problem):
    model, _ = made(family)
    with pytest.raises(ModelError, match=problem):
        prune_heads(model.backbone, heads)
    assert not model.backbone.changes
