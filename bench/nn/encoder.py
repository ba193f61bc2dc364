"""Run the layers of a masked language model on a packed batch; the last one only where it is read.

Two things make it cheap. Linear layers see the N tokens of a batch and no padding; only attention
spreads them out to a grid [S, T]. And where one position a sequence is read (the mask, the first
token), the last layer computes keys and values for all tokens but queries, output and feed-forward
for that position alone: the rest of it is never used.

Axes: S sequences, T positions, N tokens, d width, h heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fewbench.nn.batch import Batch
from fewbench.nn.families import Embedder, Layer
from fewbench.nn.int8 import all_int8, in_parts, outputs_beside


def embed(embedder: Embedder, batch: Batch, training: bool) -> Tensor:
    """Return the input of the first layer, [N, d]."""
    states: Tensor = embedder.words(batch.ids) + embedder.positions(
        batch.positions + embedder.first_position
    )
    if embedder.segments is not None:
        known = batch.segments < embedder.segments.num_embeddings  # type: ignore[operator]
        states = states + embedder.segments(
            batch.segments * known
        )  # RoBERTa's pairs are one segment
    states = F.dropout(embedder.norm(states), embedder.dropout, training)
    return states if embedder.project is None else embedder.project(states)


def encode(embedder: Embedder, layers: list[Layer], batch: Batch, training: bool) -> Tensor:
    """Return the last hidden state of the token that is read in each sequence, [S, d]."""
    return encode_from(layers, embed(embedder, batch, training), batch, training)


def encode_from(layers: list[Layer], states: Tensor, batch: Batch, training: bool) -> Tensor:
    """Return `encode`'s state, [S, d], by some layers from the input of their first, [N, d]."""
    for layer in layers[:-1]:
        states = run_layer(layer, states, batch, training)
    return run_layer_at(layers[-1], states, batch, training)


def encode_all(
    embedder: Embedder, layers: list[Layer], batch: Batch, training: bool
) -> list[Tensor]:
    """Return all tokens' hidden states, the embeddings first: layers + 1 of [N, d]."""
    states = [embed(embedder, batch, training)]
    for layer in layers:
        states.append(run_layer(layer, states[-1], batch, training))
    return states


def encode_maps(
    embedder: Embedder, layers: list[Layer], batch: Batch, training: bool
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return `encode_all`'s states, and every layer's attention probabilities and scores.

    Both are [S, h, T, T]; scores are those before the softmax, of padding too.
    """
    states, maps, raw = [embed(embedder, batch, training)], [], []
    for layer in layers:
        query, key, value = _project(
            (layer.query, layer.key, layer.value), states[-1], batch, layer.heads
        )
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        raw.append(scores)
        maps.append(scores.masked_fill(~batch.real[:, None, None, :], float("-inf")).softmax(-1))
        mixed = (F.dropout(maps[-1], layer.weights, training) @ value).transpose(1, 2).flatten(2)
        states.append(
            _finish(layer, states[-1], mixed.flatten(0, 1).index_select(0, batch.place), training)
        )
    return states, maps, raw


def encode_reads(
    embedder: Embedder, layers: list[Layer], batch: Batch, training: bool
) -> list[Tensor]:
    """Return every layer's hidden state of each sequence's read token: one [S, d] per layer."""
    states, reads = embed(embedder, batch, training), []
    for layer in layers[:-1]:
        states = run_layer(layer, states, batch, training)
        reads.append(states.index_select(0, batch.read))
    return [*reads, run_layer_at(layers[-1], states, batch, training)]


def run_layer(layer: Layer, states: Tensor, batch: Batch, training: bool) -> Tensor:
    """Return a layer's output for all tokens, [N, d], for its input [N, d]."""
    query, key, value = _project((layer.query, layer.key, layer.value), states, batch, layer.heads)
    mixed = _attend(layer, query, key, value, batch, training)
    return _finish(layer, states, mixed.flatten(0, 1).index_select(0, batch.place), training)


def run_layer_at(layer: Layer, states: Tensor, batch: Batch, training: bool) -> Tensor:
    """Return a layer's output for the tokens that are read, [S, d], for its input [N, d]."""
    key, value = _project((layer.key, layer.value), states, batch, layer.heads)
    read = states.index_select(0, batch.read)
    query = layer.query(read).unflatten(-1, (layer.heads, -1)).unsqueeze(2)  # [S, h, 1, d/h]
    return _finish(layer, read, _attend(layer, query, key, value, batch, training)[:, 0], training)


def look_ahead(
    layer: Layer, states: Tensor, batch: Batch, training: bool
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run a layer for the read tokens alone, [S, d]; return its keys and values for `run_rest`."""
    key, value = (
        _spread(linear(states), batch, layer.heads) for linear in (layer.key, layer.value)
    )
    read = states.index_select(0, batch.read)
    query = layer.query(read).unflatten(-1, (layer.heads, -1)).unsqueeze(2)
    return _finish(
        layer, read, _attend(layer, query, key, value, batch, training)[:, 0], training
    ), (key, value)


def run_rest(
    layer: Layer, states: Tensor, ahead: tuple[Tensor, Tensor], batch: Batch, training: bool
) -> Tensor:
    """Run a layer, [N, d], with the keys and values [S, h, T, d/h] of `look_ahead`."""
    query = _spread(layer.query(states), batch, layer.heads)
    mixed = _attend(layer, query, *ahead, batch, training)
    return _finish(layer, states, mixed.flatten(0, 1).index_select(0, batch.place), training)


def _spread(mapped: Tensor, batch: Batch, heads: int) -> Tensor:
    """Return a map of the states [N, d] on the grid: [S, h, T, d/h]."""
    spread = mapped.index_select(0, batch.grid.flatten())
    return spread.view(*batch.grid.shape, heads, -1).transpose(1, 2)


def _project(
    maps: tuple[torch.nn.Linear, ...], states: Tensor, batch: Batch, heads: int
) -> tuple[Tensor, ...]:
    """Return each map of the states, spread to the grid: [S, h, T, d/h] each.

    One product does them all, but for maps whose inputs are rounded in floating point.
    """
    if int8 := all_int8(maps):
        mapped = outputs_beside(int8, states)
    elif all(isinstance(linear, torch.nn.Linear) for linear in maps):
        weight = torch.cat([linear.weight for linear in maps])
        bias = torch.cat([linear.bias for linear in maps])
        mapped = F.linear(states, weight, bias)
    else:
        mapped = torch.cat([linear(states) for linear in maps], -1)
    spread = mapped.index_select(0, batch.grid.flatten())
    return spread.view(*batch.grid.shape, len(maps), heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


def _attend(
    layer: Layer, query: Tensor, key: Tensor, value: Tensor, batch: Batch, training: bool
) -> Tensor:
    """Return the attention output [S, Q, d] for queries [S, h, Q, d/h]."""
    mask = batch.real[:, None, None, :]
    dropout = layer.weights if training else 0.0
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(2)


def _finish(layer: Layer, states: Tensor, mixed: Tensor, training: bool) -> Tensor:
    """Apply output projection, norm, feed-forward and norm, with residuals, to any tokens.

    In int8 no token's result depends on the others, so a processor takes some of them at a time.
    """

    def finished(states: Tensor, mixed: Tensor) -> Tensor:
        return _finish_at_once(layer, states, mixed, training)

    is_int8 = bool(all_int8((layer.output, layer.up, layer.down)))
    if is_int8 and states.device.type == "cpu" and not training:
        return in_parts(finished, states, mixed)
    return finished(states, mixed)


def _finish_at_once(layer: Layer, states: Tensor, mixed: Tensor, training: bool) -> Tensor:
    if layer.head_mask is not None:
        by_head = mixed.view(*mixed.shape[:-1], layer.heads, -1)
        mixed = (by_head * layer.head_mask[:, None]).flatten(-2)
    attended = layer.attention_norm(
        F.dropout(layer.output(mixed), layer.after_attention, training) + states
    )
    inner = layer.down(layer.activation(layer.up(attended)))
    finished: Tensor = layer.norm(F.dropout(inner, layer.after_feedforward, training) + attended)
    return finished
