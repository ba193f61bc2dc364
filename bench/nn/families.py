"""Adapters for the families of masked language models: the places of their layers.

Nothing here computes: `fewbench.nn.encoder` runs the layers. The adapters name modules that
transformers 4.57 and 5 share; tests hold every family's outputs against its own forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from fewbench.errors import ModelError


class Layer(NamedTuple):
    """One Transformer layer, normalised after each block (post-norm), as all these families are.

    `after_attention` and `after_feedforward` are the dropout probabilities of the block outputs;
    `weights` that of the attention weights. `heads` are those the layer has: some may have been
    pruned. Each head's output is multiplied by its `head_mask` [h], if there is one.
    """

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    output: nn.Linear
    attention_norm: nn.Module
    up: nn.Linear
    activation: Callable[[Tensor], Tensor]
    down: nn.Linear
    norm: nn.Module
    heads: int
    weights: float
    after_attention: float
    after_feedforward: float
    head_mask: Tensor | None = None


class Embedder(NamedTuple):
    """Word, position and segment embeddings, norm and dropout, and a projection to the width.

    Segment embeddings and the projection may be missing.

    `first_position` is the number of the first position (RoBERTa counts from its padding index +
    1).
    """

    words: nn.Module
    positions: nn.Module
    segments: nn.Module | None
    norm: nn.Module
    dropout: float
    project: nn.Module | None
    first_position: int = 0


class Family(NamedTuple):
    """Access to the parts of a masked language model `m`.

    `transform(m, h)` maps hidden states [..., d] to what the vocabulary projection `decoder(m)`
    takes.
    """

    embedder: Callable[[Any], Embedder]
    layers: Callable[[Any], list[Layer]]
    transform: Callable[[Any, Tensor], Tensor]
    decoder: Callable[[Any], nn.Linear]


def masked(family: Family, masks: Sequence[Tensor]) -> Family:
    """Return a family whose layers have masks on their heads, one [h] a layer, beside their own."""

    def layers(model: Any) -> list[Layer]:
        pairs = zip(family.layers(model), masks, strict=True)
        return [layer._replace(head_mask=_joint(layer.head_mask, mask)) for layer, mask in pairs]

    return family._replace(layers=layers)


def _joint(mask: Tensor | None, other: Tensor) -> Tensor:
    return other if mask is None else mask * other


def _embedder(base: Any, *, first: int = 0, project: nn.Module | None = None) -> Embedder:
    e = base.embeddings
    return Embedder(
        e.word_embeddings,
        e.position_embeddings,
        getattr(e, "token_type_embeddings", None),
        e.LayerNorm,
        e.dropout.p,
        project,
        first,
    )


def _heads(query: nn.Linear, width: int, heads: int) -> int:
    """Count the heads that a query still has, of those in the configuration."""
    return query.out_features * heads // width


def _bert_layers(base: Any) -> list[Layer]:
    config, weights = base.config, base.config.attention_probs_dropout_prob
    return [
        Layer(
            layer.attention.self.query,
            layer.attention.self.key,
            layer.attention.self.value,
            layer.attention.output.dense,
            layer.attention.output.LayerNorm,
            layer.intermediate.dense,
            layer.intermediate.intermediate_act_fn,
            layer.output.dense,
            layer.output.LayerNorm,
            _heads(layer.attention.self.query, config.hidden_size, config.num_attention_heads),
            weights,
            layer.attention.output.dropout.p,
            layer.output.dropout.p,
        )
        for layer in base.encoder.layer
    ]


def _distilbert_layers(base: Any) -> list[Layer]:
    config = base.config
    return [
        Layer(
            layer.attention.q_lin,
            layer.attention.k_lin,
            layer.attention.v_lin,
            layer.attention.out_lin,
            layer.sa_layer_norm,
            layer.ffn.lin1,
            layer.ffn.activation,
            layer.ffn.lin2,
            layer.output_layer_norm,
            _heads(layer.attention.q_lin, config.dim, config.n_heads),
            config.attention_dropout,
            0.0,  # DistilBERT drops nothing between attention and its norm
            config.dropout,
        )
        for layer in base.transformer.layer
    ]


def _albert_layers(base: Any) -> list[Layer]:
    """Return ALBERT's layers: the same modules again and again, group by group."""
    config, groups = base.config, base.encoder.albert_layer_groups
    numbers = [
        int(i / (config.num_hidden_layers / config.num_hidden_groups))
        for i in range(config.num_hidden_layers)
    ]
    return [
        Layer(
            layer.attention.query,
            layer.attention.key,
            layer.attention.value,
            layer.attention.dense,
            layer.attention.LayerNorm,
            layer.ffn,
            layer.activation,
            layer.ffn_output,
            layer.full_layer_layer_norm,
            config.num_attention_heads,
            config.attention_probs_dropout_prob,
            config.hidden_dropout_prob,
            0.0,  # ALBERT defines this dropout and does not use it
        )
        for number in numbers
        for layer in groups[number].albert_layers
    ]


def _roberta_head(model: Any, hidden: Tensor) -> Tensor:
    head = model.lm_head
    return head.layer_norm(nn.functional.gelu(head.dense(hidden)))  # type: ignore[no-any-return]


def _distilbert_head(model: Any, hidden: Tensor) -> Tensor:
    transformed = model.activation(model.vocab_transform(hidden))
    return model.vocab_layer_norm(transformed)  # type: ignore[no-any-return]


def _albert_head(model: Any, hidden: Tensor) -> Tensor:
    head = model.predictions
    return head.LayerNorm(head.activation(head.dense(hidden)))  # type: ignore[no-any-return]


_BERT = Family(
    lambda m: _embedder(m.bert),
    lambda m: _bert_layers(m.bert),
    lambda m, h: m.cls.predictions.transform(h),
    lambda m: m.cls.predictions.decoder,
)
_ROBERTA = Family(
    lambda m: _embedder(m.roberta, first=m.config.pad_token_id + 1),
    lambda m: _bert_layers(m.roberta),
    _roberta_head,
    lambda m: m.lm_head.decoder,
)
_DISTILBERT = Family(
    lambda m: _embedder(m.distilbert),
    lambda m: _distilbert_layers(m.distilbert),
    _distilbert_head,
    lambda m: m.vocab_projector,
)
_ALBERT = Family(
    lambda m: _embedder(m.albert, project=m.albert.encoder.embedding_hidden_mapping_in),
    lambda m: _albert_layers(m.albert),
    _albert_head,
    lambda m: m.predictions.decoder,
)
_ELECTRA = Family(
    lambda m: _embedder(m.electra, project=getattr(m.electra, "embeddings_project", None)),
    lambda m: _bert_layers(m.electra),
    lambda m, h: m.generator_predictions(h),
    lambda m: m.generator_lm_head,
)
FAMILIES = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": _DISTILBERT,
    "albert": _ALBERT,
    "electra": _ELECTRA,
}


def family_of(model: Any) -> Family:
    """Return the family of a masked language model.

    Raises:
        ModelError: a model type that is not known here, or relative position embeddings.
    """
    kind = model.config.model_type
    if kind not in FAMILIES:
        raise ModelError(
            f"masked language models of type '{kind}' are not known here",
            allowed=FAMILIES,
            given=kind,
        )
    if getattr(model.config, "position_embedding_type", "absolute") != "absolute":
        raise ModelError(
            "relative position embeddings are not known here",
            allowed="absolute position embeddings",
        )
    return FAMILIES[kind]
