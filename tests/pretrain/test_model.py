"""A new model's first weights."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoTokenizer

from fewbench.pretrain.model import NEIGHBOURS, new_model, start_at_neighbours
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
    ids = torch.randint(5, new.config.vocab_size, (4, 64), generator=torch.Generator().manual_seed(0))
    before = attention(new, ids)
    start_at_neighbours(new)
    after = attention(new, ids)
    for layer, least in ((0, 0.3), (1, 1.5 / 64)):  # the second layer sees positions through the first
        for head, offset in enumerate(NEIGHBOURS[layer]):
            share = [maps[layer][:, head].diagonal(offset, 1, 2).mean().item() for maps in (before, after)]
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
