"""The pretraining losses: masked words, the words around them, and distillation from a teacher.

Axes: n rows, L places, M masked places, V tokens, d width.

Rows are full, so nothing is padded and attention needs no mask; the last layer is computed at the
masked places alone, and so is the vocabulary head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.errors import ModelError
from fewbench.nn.families import Layer, family_of
from fewbench.nn.losses import distillation_kl
from fewbench.pretrain.recipe import Recipe


class Masked(NamedTuple):
    """Rows with masks: `ids` [n, L] as the model sees them, `places` [M] (flat), and `answers` [M].

    `around` [n, V], if any, is the part of each answer that the words around the row have: it sums
    to the recipe's `context`, or to 0 where there are none.
    """

    ids: Tensor
    places: Tensor
    answers: Tensor
    around: Tensor | None = None


Objective = Callable[[Any, Masked], tuple[Tensor, dict[str, float]]]
"""Maps model and rows to the loss and its named terms."""


def masked_words(model: Any, rows: Masked) -> tuple[Tensor, dict[str, float]]:
    """Return the mean cross-entropy at the masked places; `loss` covers the masked words alone."""
    return cross_entropy(vocabulary_scores(model, states_at(model, rows)), rows)


def cross_entropy(scores: Tensor, rows: Masked) -> tuple[Tensor, dict[str, float]]:
    """Return the cross-entropy of scores [M, V] with answers and words around, and its terms.

    It is the mean of (1 - c) * -log p(word) - c * sum over v of q(v) log p(v).

    c * q is `rows.around`; with none of it, this is the cross-entropy of masked words.
    """
    if rows.around is None:
        loss = F.cross_entropy(scores, rows.answers)
        return loss, {"loss": float(loss.detach())}
    log = F.log_softmax(scores.float(), dim=-1)
    around = rows.around.index_select(0, rows.places // rows.ids.shape[1])
    words = -log.gather(1, rows.answers[:, None])[:, 0]
    loss = ((1 - around.sum(1)) * words - (around * log).sum(1)).mean()
    return loss, {"loss": float(words.detach().mean()), "answers": float(loss.detach())}


def distillation(teacher: Any, recipe: Recipe) -> Objective:
    """Return DistilBERT's loss: soft * T^2 * KL + hard * masked words + hidden * (1 - cosine).

    Sanh et al. (2019), section 3; smash, section 4.3, setting 5. The cosine is between the last
    hidden states of teacher and student. All three are taken at the masked places; DistilBERT's
    code takes KL and cosine at all places, which costs the vocabulary head and the last layer seven
    times over.

    Args:
        teacher: a masked language model with the student's vocabulary; it is not trained.
        recipe: temperature and weights.
    """
    teacher.eval().requires_grad_(False)

    def loss(model: Any, rows: Masked) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            teacher_states = states_at(teacher, rows)
            teacher_scores = vocabulary_scores(teacher, teacher_states)
        states = states_at(model, rows)
        scores = vocabulary_scores(model, states)
        soft = distillation_kl(scores, teacher_scores, recipe.temperature)
        hard, terms = cross_entropy(scores, rows)
        total = recipe.soft * soft + recipe.hard * hard
        terms["soft"] = float(soft.detach())
        if recipe.hidden:
            hidden = 1 - F.cosine_similarity(states, teacher_states, dim=-1).mean()
            total = total + recipe.hidden * hidden
            terms["hidden"] = float(hidden.detach())
        return total, terms

    return loss


def check_teacher(teacher: Any, student: Any, recipe: Recipe) -> None:
    """Refuse a teacher whose outputs do not fit the student's.

    Raises:
        ModelError: vocabularies of different size, or different widths while the hidden loss has a
            weight.
    """
    ours, theirs = (family_of(model).decoder(model).out_features for model in (student, teacher))
    if ours != theirs:
        raise ModelError(
            f"the teacher's vocabulary has {theirs} tokens and the student's {ours}",
            fix="a teacher with the same tokenizer",
        )
    ours, theirs = student.config.hidden_size, teacher.config.hidden_size
    if recipe.hidden and ours != theirs:
        raise ModelError(
            f"the teacher is {theirs} wide and the student {ours}, "
            "so their hidden states cannot be compared",
            fix="hidden = 0 in the recipe, or a teacher of the same width",
        )


def states_at(model: Any, rows: Masked) -> Tensor:
    """Return the last layer's states at the masked places, [M, d]."""
    layers = family_of(model).layers(model)
    states = _embed(model, rows.ids)
    for layer in layers[:-1]:
        mixed = _attend(layer, states, model.training)
        states = _finish(layer, states, mixed, model.training)
    mixed = _attend(layers[-1], states, model.training)
    states, mixed = (x.flatten(0, 1).index_select(0, rows.places) for x in (states, mixed))
    return _finish(layers[-1], states, mixed, model.training)


def hidden_states(model: Any, ids: Tensor) -> list[Tensor]:
    """Return the states [n, L, d] of ids [n, L] after the embeddings and after each layer."""
    states = [_embed(model, ids)]
    for layer in family_of(model).layers(model):
        mixed = _attend(layer, states[-1], model.training)
        states.append(_finish(layer, states[-1], mixed, model.training))
    return states


def vocabulary_scores(model: Any, states: Tensor) -> Tensor:
    """Return the scores of all tokens for states [M, d]: [M, V]."""
    family = family_of(model)
    return family.decoder(model)(family.transform(model, states))  # type: ignore[no-any-return]


def _embed(model: Any, ids: Tensor) -> Tensor:
    """Return the input [n, L, d] of the first layer for ids [n, L]."""
    embedder = family_of(model).embedder(model)
    positions = torch.arange(ids.shape[1], device=ids.device) + embedder.first_position
    states = embedder.words(ids) + embedder.positions(positions)
    if embedder.segments is not None:
        states = states + embedder.segments(torch.zeros_like(ids[0]))
    states = F.dropout(embedder.norm(states), embedder.dropout, model.training)
    return states if embedder.project is None else embedder.project(states)


def _attend(layer: Layer, states: Tensor, training: bool) -> Tensor:
    """Return the attention's mixed values [n, L, d]; one product makes queries, keys and values."""
    maps: tuple[nn.Linear, ...] = (layer.query, layer.key, layer.value)
    weight = torch.cat([linear.weight for linear in maps])
    bias = torch.cat([linear.bias for linear in maps])
    mapped = F.linear(states, weight, bias)
    by_head = mapped.view(*states.shape[:2], 3, layer.heads, -1)
    query, key, value = by_head.permute(2, 0, 3, 1, 4)
    dropout = layer.weights if training else 0.0
    mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(2)


def _finish(layer: Layer, states: Tensor, mixed: Tensor, training: bool) -> Tensor:
    output = F.dropout(layer.output(mixed), layer.after_attention, training)
    attended = layer.attention_norm(output + states)
    inner = layer.down(layer.activation(layer.up(attended)))
    inner = F.dropout(inner, layer.after_feedforward, training)
    return layer.norm(inner + attended)  # type: ignore[no-any-return]
