"""Changes to a model's structure: layers kept, heads removed, weights in int8.

What is done to a backbone is a JSON value, so that it can be redone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from fewbench.errors import ModelError
from fewbench.nn.backbone import Backbone
from fewbench.nn.families import Layer, masked
from fewbench.nn.quantize import fake_quantize, quantize
from fewbench.types import Settings

STACKS = {
    "bert": ("bert.encoder", "num_hidden_layers"),
    "roberta": ("roberta.encoder", "num_hidden_layers"),
    "xlm-roberta": ("roberta.encoder", "num_hidden_layers"),
    "camembert": ("roberta.encoder", "num_hidden_layers"),
    "electra": ("electra.encoder", "num_hidden_layers"),
    "distilbert": ("distilbert.transformer", "n_layers"),
}
"""Where a model type keeps its list of layers, and what its configuration calls their number."""


def apply(backbone: Backbone, change: Settings) -> None:
    """Make a change that a manifest names, and note it in `backbone.changes`."""
    settings = {name: value for name, value in change.items() if name != "change"}
    CHANGES[change["change"]](backbone, **settings)


def truncate(backbone: Backbone, layers: Sequence[int]) -> None:
    """Leave only the encoder layers of these numbers (from 0), in this order.

    Raises:
        ModelError: a layer the model lacks, or a family whose layers are shared or named otherwise.
    """
    if any(layer.head_mask is not None for layer in backbone.layers):
        raise ModelError("layers go before their heads are masked", fix="truncate+head-prune")
    keep_layers(backbone.model, layers)
    backbone.changes.append({"change": "truncate", "layers": [int(layer) for layer in layers]})


def prune_heads(backbone: Backbone, heads: Mapping[Any, Sequence[int]]) -> None:
    """Remove attention heads: their rows of query, key and value, their columns of the output.

    Args:
        backbone: changed in place; transformers' own forward pass still agrees with ours
            afterwards.
        heads: by layer, the numbers of the heads to remove among those it has, both from 0.

    Raises:
        ModelError: a layer or head the model lacks, all heads of a layer, or layers that share
            their weights.
    """
    refuse_shared_layers(backbone)
    plan = _checked_heads(backbone, heads)
    for number, gone in plan.items():
        _drop_heads(backbone, backbone.layers[number], gone)
    backbone.changes.append({"change": "prune_heads", "heads": _as_json(plan)})


def mask_heads(backbone: Backbone, heads: Mapping[Any, Sequence[int]]) -> None:
    """Set the outputs of attention heads to 0, in models whose layers share weights too.

    No weight goes, and no time is saved.

    Args:
        backbone: changed in place.
        heads: by layer, the numbers of the heads, both from 0.

    Raises:
        ModelError: a layer or head the model lacks, or all heads of a layer.
    """
    plan = _checked_heads(backbone, heads)
    masks = [torch.ones(layer.heads, device=backbone.device) for layer in backbone.layers]
    for number, gone in plan.items():
        masks[number][gone] = 0
    backbone._family = masked(backbone._family, masks)
    backbone.changes.append({"change": "mask_heads", "heads": _as_json(plan)})


def _checked_heads(backbone: Backbone, heads: Mapping[Any, Sequence[int]]) -> dict[int, list[int]]:
    """Return the heads to remove by layer, in order, if each of them is there and one stays."""
    layers = backbone.layers
    plan = {int(number): sorted(set(map(int, gone))) for number, gone in heads.items()}
    for number, gone in plan.items():
        if not 0 <= number < len(layers):
            raise ModelError(f"the model has no layer {number}", allowed=f"0 to {len(layers) - 1}")
        if gone and not 0 <= gone[0] <= gone[-1] < layers[number].heads:
            raise ModelError(
                f"layer {number} has no heads {gone}", allowed=f"0 to {layers[number].heads - 1}"
            )
        if len(gone) == layers[number].heads:
            raise ModelError(
                f"layer {number} would lose all its heads", allowed="at least one head per layer"
            )
    return plan


def _as_json(plan: Mapping[int, list[int]]) -> dict[str, list[int]]:
    return {str(number): gone for number, gone in plan.items()}


def has_shared_layers(backbone: Backbone) -> bool:
    """True if some layers are one and the same module (ALBERT)."""
    queries = [id(layer.query) for layer in backbone.layers]
    return len(set(queries)) < len(queries)


def refuse_shared_layers(backbone: Backbone) -> None:
    """Refuse a model whose layers are one and the same: what is done to one would be done to all.

    Raises:
        ModelError: an ALBERT.
    """
    if has_shared_layers(backbone):
        kind = backbone.config.model_type
        raise ModelError(
            f"the layers of a '{kind}' share their weights, so none can be changed alone",
            allowed=STACKS,
        )


def _drop_heads(backbone: Backbone, layer: Layer, gone: Sequence[int]) -> None:
    size = layer.query.out_features // layer.heads
    keep = torch.tensor(
        [unit for unit in range(layer.query.out_features) if unit // size not in set(gone)]
    )
    keep = keep.to(layer.query.weight.device)
    for linear in (layer.query, layer.key, layer.value):
        linear.weight = nn.Parameter(linear.weight.detach()[keep].clone())
        linear.bias = nn.Parameter(linear.bias.detach()[keep].clone())
        linear.out_features = len(keep)
    layer.output.weight = nn.Parameter(layer.output.weight.detach()[:, keep].clone())
    layer.output.in_features = len(keep)
    modules = backbone.model.modules()
    attention = next(module for module in modules if layer.query in list(module.children()))
    counts = {"num_attention_heads": layer.heads - len(gone), "n_heads": layer.heads - len(gone)}
    for name, value in (counts | {"all_head_size": len(keep), "dim": len(keep)}).items():
        if hasattr(attention, name):  # what transformers' own forward pass goes by
            setattr(attention, name, value)


CHANGES: Mapping[str, Callable[..., None]] = {
    "truncate": truncate,
    "prune_heads": prune_heads,
    "mask_heads": mask_heads,
    "quantize": quantize,
    "fake_quantize": fake_quantize,
}


def keep_layers(model: Any, keep: Sequence[int]) -> None:
    """Keep only the given layers of a transformers model, in their order; a repeated one is copied.

    DistilBERT's student starts from every other layer of its teacher; progressive stacking (Gong et
    al., 2019) doubles the layers of a shallow model: 0, 1, 2, 0, 1, 2. Where all layers are one and
    the same (ALBERT), it is run as many times as layers are kept.

    Raises:
        ModelError: a layer the model lacks, or a family whose layers are named otherwise, or shared
            by some of them alone.
    """
    check_kept(model, keep)
    if _is_one_layer(model):
        model.config.num_hidden_layers = len(keep)
        return
    place, number = STACKS[model.config.model_type]
    encoder = model.get_submodule(place)
    encoder.layer = nn.ModuleList([copy.deepcopy(encoder.layer[layer]) for layer in keep])
    setattr(model.config, number, len(keep))


def check_kept(model: Any, keep: Sequence[int]) -> None:
    """Refuse layers that a model lacks, and a model whose layers cannot be chosen.

    Raises:
        ModelError: it is so.
    """
    kind = model.config.model_type
    if _is_one_layer(model):
        count = int(model.config.num_hidden_layers)
    elif kind in STACKS:
        count = len(model.get_submodule(STACKS[kind][0]).layer)
    else:
        raise ModelError(f"layers of a '{kind}' cannot be chosen", allowed=STACKS, given=kind)
    if bad := [layer for layer in keep if not 0 <= layer < count]:
        raise ModelError(
            f"the model has no layer {bad[0]}", allowed=f"0 to {count - 1}", fix="keep = [0, …]"
        )


def _is_one_layer(model: Any) -> bool:
    """True if all layers of a model are one and the same: an ALBERT of one group of one layer."""
    config = model.config
    is_albert: bool = config.model_type == "albert"
    return is_albert and bool(config.num_hidden_groups == config.inner_group_num == 1)
