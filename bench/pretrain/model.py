"""The model that pretraining starts from: new, or a given one, whole or with some of its layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fewbench.nn.families import family_of
from fewbench.pretrain.packing import Rows
from fewbench.pretrain.recipe import Recipe

NEIGHBOURS = ((-1, 1, -2, 2), (-1, 1))
"""Where the heads of the first layers look at the start, in places."""
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")
"""What the families' configurations call the shares that are dropped."""
SHORTEST_WAVE, LONGEST_WAVE = 2.5, 300.0
"""Of the waves that positions start as, in places."""


def new_model(recipe: Recipe, tokenizer: Any) -> Any:
    """Return a BERT with random weights for a tokenizer.

    Weights are drawn with standard deviation 1 / sqrt(width), near BERT's 0.02 at BERT's width of
    768. Narrow models drawn with 0.02 add next to nothing to a place from what it attends to, and
    stay long at guessing by frequency.
    """
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(recipe.seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=4 * recipe.width,
        max_position_embeddings=max(256, recipe.length),
        initializer_range=recipe.width**-0.5,
        pad_token_id=tokenizer.pad_token_id,
    )
    return BertForMaskedLM(config)


def stop_dropout(model: Any) -> dict[str, float]:
    """Set all dropout to 0 and return the configured rates.

    A single pass over a large corpus does not overfit.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    configured = {name: getattr(model.config, name, None) for name in DROPOUTS}
    rates = {name: rate for name, rate in configured.items() if isinstance(rate, float)}
    model.config.update(dict.fromkeys(rates, 0.0))
    return rates


@torch.no_grad()
def start_at_unigrams(model: Any, counts: Tensor) -> None:
    """Set the output bias to the log unigram probabilities of `counts` [V], each plus 1."""
    share = counts.double() + 1
    bias = (share / share.sum()).log().float()
    family_of(model).decoder(model).bias.copy_(bias - bias.mean())


@torch.no_grad()
def start_at_pmi(
    model: Any, corpora: Sequence[Rows], special: np.ndarray[Any, Any], rows: int, seed: int
) -> None:
    """Set the word embeddings to a factorised positive PMI matrix.

    Levy and Goldberg (2014), section 3.3.

    M = max(0, pmi) over skip-grams in windows of 11 is decomposed as U S V'; the embeddings are the
    rows of U sqrt(S), centred, and each of the length that the model's own initial embeddings have
    on average. They are tied to the output, so the first updates already tell like words from
    unlike.

    Args:
        model: a new model; changed in place.
        corpora: rows [n, length] of token ids.
        special: bool [V], tokens that are no text.
        rows: how many rows of each corpus are counted.
        seed: of the decomposition.
    """
    from sklearn.utils.extmath import randomized_svd

    from fewbench.pretrain.pmi import count_pairs, pmi

    counted = np.concatenate([np.asarray(corpus[:rows]) for corpus in corpora])
    matrix = pmi(count_pairs(counted, special), positive=True)
    words = model.get_input_embeddings().weight
    left, scale, _ = randomized_svd(
        matrix, n_components=words.shape[1], n_iter=2, random_state=seed
    )
    vectors = torch.from_numpy(left * np.sqrt(scale)).float()
    known = vectors.norm(dim=1) > 0
    vectors = vectors[known] - vectors[known].mean(0)
    length = words[5:].norm(dim=1).mean()
    words[: len(known)][known] = vectors / vectors.norm(dim=1, keepdim=True) * length


@torch.no_grad()
def start_at_neighbours(model: Any) -> None:
    """Initialise heads of the first two layers to attend to neighbours: -1, +1, -2, ….

    A masked place must know its neighbours before it can learn anything from them, and learning
    where they stand takes millions of tokens. So positions start as waves, sin(f j) and cos(f j),
    in as many dimensions as a head has, which words leave free, and a head's query for the place at
    distance o is its key turned by the angle f o (Vaswani et al., 2017, section 3.5). Values and
    all other weights stay random; every weight is trained.

    Args:
        model: a new BERT; changed in place.
    """
    family = family_of(model)
    layers = family.layers(model)
    table = model.get_input_embeddings().weight
    head = table.shape[1] // layers[0].heads
    turned = table.shape[1] - head  # the dimensions from here on hold positions
    longest, shortest = math.log10(LONGEST_WAVE), math.log10(SHORTEST_WAVE)
    frequencies = 2 * math.pi / torch.logspace(longest, shortest, head // 2)
    centred = table - table.mean(0)
    strongest = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)
    table.copy_(table @ strongest)  # what words lose below is their weakest directions
    table[:, turned:] = 0
    loudness = math.sqrt(2) * table.norm(dim=1).mean() / math.sqrt(turned)
    embeddings = model.base_model.embeddings
    places = embeddings.position_embeddings.weight
    angles = torch.arange(len(places))[:, None] * frequencies
    places.zero_()
    places[:, turned:] = torch.stack([angles.sin(), angles.cos()], -1).flatten(1) * loudness
    embeddings.token_type_embeddings.weight.zero_()
    for layer, offsets in zip(layers, NEIGHBOURS, strict=False):
        for number, offset in enumerate(offsets[: layer.heads]):
            rows = slice(number * head, (number + 1) * head)
            for linear, shift in ((layer.query, offset), (layer.key, 0)):
                linear.weight[rows] = 0
                linear.weight[rows, turned:] = _turn(frequencies * shift)


@torch.no_grad()
def start_silent(model: Any, keep: Sequence[int]) -> None:
    """Make each repeated layer the identity, so that the deeper model computes the same.

    Growth that preserves the function (Chen et al., 2016), for layers whose norm comes last: what
    attention and the feed-forward network write is 0, the first norm does nothing, and the second
    gives back the length that states have there on average. A stack of plain copies instead (Gong
    et al., 2019) made a three-layer model worse than chance.

    Args:
        model: one whose layers are already those of `keep`; changed in place.
        keep: the numbers of the layers it was made of.
    """
    layers: Sequence[Any] = family_of(model).layers(model)
    for before, layer, *same in zip(layers, layers[1:], keep, keep[1:], strict=False):
        if len(set(same)) > 1:
            continue
        for linear in (layer.output, layer.down):
            linear.weight.zero_()
            linear.bias.zero_()
        length = (before.norm.weight.square() + before.norm.bias.square()).mean().sqrt()
        for norm, weight in ((layer.attention_norm, 1.0), (layer.norm, float(length))):
            norm.weight.fill_(weight)
            norm.bias.zero_()


def _turn(angles: Tensor) -> Tensor:
    """Return the matrix that turns pairs (sin a, cos a) by angles [n]: [2n, 2n]."""
    sin, cos = angles.sin(), angles.cos()
    blocks = torch.stack([cos, sin, -sin, cos], -1).view(-1, 2, 2)
    turned: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return turned
