"""A new model's first weights."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from fewbench.nn.prune import keep_layers
from fewbench.pretrain.model import (
    NEIGHBOURS,
    new_model,
    start_at_neighbours,
    start_silent,
    stop_dropout,
)
from fewbench.pretrain.objective import Masked, masked_words
from fewbench.pretrain.recipe import Recipe


@pytest.fixture
def new(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    return new_model(Recipe(layers=3, width=128, heads=4, length=64), tokenizer).eval()


def attention(model, ids):
    eager = type(model)._from_config(model.config, attn_implementation="eager").eval()
    eager.load_state_dict(model.state_dict())
    return eager(ids, output_attentions=True).attentions


def test_heads_start_at_the_words_beside(new):
    ids = torch.randint(
        5, new.config.vocab_size, (4, 64), generator=torch.Generator().manual_seed(0)
    )
    before = attention(new, ids)
    start_at_neighbours(new)
    after = attention(new, ids)
    for layer, least in (
        (0, 0.3),
        (1, 1.5 / 64),
    ):  # the second layer sees positions through the first
        for head, offset in enumerate(NEIGHBOURS[layer]):
            share = [
                maps[layer][:, head].diagonal(offset, 1, 2).mean().item()
                for maps in (before, after)
            ]
            assert share[0] < least
            assert share[1] > least, (layer, head)
            wanted = torch.arange(8, 56) + offset
            if layer == 0:
                assert (after[0][:, head, 8:56].argmax(-1) == wanted).float().mean() > 0.95


def test_words_keep_their_strongest_directions(new):
    table = new.get_input_embeddings().weight
    with torch.no_grad():
        table[:, :40] *= 10
        before = table @ table.T
    start_at_neighbours(new)
    kept = table @ table.T
    assert torch.equal(table[:, 96:], torch.zeros_like(table[:, 96:]))
    assert (before - kept).norm() < 0.1 * before.norm()


def test_narrow_models_are_drawn_wider(new):
    assert new.get_input_embeddings().weight.std().item() == pytest.approx(128**-0.5, rel=0.05)


def test_a_grown_model_does_at_first_what_it_did(new):
    ids = torch.randint(
        5, new.config.vocab_size, (4, 64), generator=torch.Generator().manual_seed(0)
    )
    for layer in new.bert.encoder.layer:  # norms as training leaves them
        torch.nn.init.normal_(layer.output.LayerNorm.weight, 0.8, 0.1)
        torch.nn.init.normal_(layer.output.LayerNorm.bias, 0.0, 0.1)
    before = new(ids).logits
    keep = (0, 0, 1, 2, 2)
    stacked = copy.deepcopy(new)
    keep_layers(stacked, keep)
    grown = copy.deepcopy(stacked)
    start_silent(grown, keep)
    assert grown.config.num_hidden_layers == 5
    error, plain = (
        (model(ids).logits - before).norm() / before.norm() for model in (grown, stacked)
    )
    assert error < 0.05
    assert plain > 5 * error
    grown(ids).logits.sum().backward()
    added = grown.bert.encoder.layer[1]
    assert added.output.dense.weight.grad.abs().sum() > 0  # it can learn to add something


def test_layers_kept_once_are_as_they_were(new):
    keep_layers(new, (2, 0))
    before = {name: weight.clone() for name, weight in new.state_dict().items()}
    start_silent(new, (2, 0))
    assert all(torch.equal(weight, before[name]) for name, weight in new.state_dict().items())


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "electra"])
def test_going_on_drops_nothing_out(tiny, family):
    model = AutoModelForMaskedLM.from_pretrained(tiny(family)).train()
    before = dict(vars(model.config))
    rows = Masked(
        torch.arange(5, 29).view(2, 12), torch.tensor([1, 7, 13]), torch.tensor([9, 8, 7])
    )
    dropped = [masked_words(model, rows)[0].item() for _ in range(3)]
    said = stop_dropout(model)
    kept = {masked_words(model, rows)[0].item() for _ in range(3)}
    assert len(kept) == 1
    assert (len(set(dropped)) > 1) == any(said.values())  # ALBERT drops nothing by itself
    model.config.update(said)
    assert {name: getattr(model.config, name) for name in said} == {
        name: before[name] for name in said
    }
