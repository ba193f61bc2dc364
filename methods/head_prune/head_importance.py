"""Masks on attention heads, and the importance of each head to a loss.

Axes: h heads of a layer, N tokens, d width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Encoded
from fewbench.nn.families import masked
from fewbench.nn.task_model import TaskModel


@contextmanager
def masked_heads(backbone: Backbone, masks: Sequence[Tensor]) -> Iterator[None]:
    """Multiply each head's output by its mask inside the block: one tensor [h] per layer."""
    family = backbone._family
    backbone._family = masked(family, masks)
    try:
        yield
    finally:
        backbone._family = family


def head_importance(model: TaskModel, examples: Sequence[Encoded]) -> list[Tensor]:
    """Return each layer's I_h = E_x |dL(x) / d xi_h|, [h] (Michel et al., 2019, eq. 2).

    The masks xi are 1. The model is in evaluation mode, and examples are run one by one, because
    the absolute value is taken of each.
    """
    masks = [
        torch.ones(layer.heads, device=model.backbone.device, requires_grad=True)
        for layer in model.backbone.layers
    ]
    totals = [torch.zeros_like(mask) for mask in masks]
    was_training = model.training
    model.eval()
    with masked_heads(model.backbone, masks):
        for example in examples:
            gradients = torch.autograd.grad(model.loss(model.collate([example])), masks)
            for total, gradient in zip(totals, gradients, strict=True):
                total += gradient.abs() / len(examples)
    model.train(was_training)
    return totals


def least_important(importance: Sequence[Tensor], count: int) -> dict[int, list[int]]:
    """Return the `count` least important heads, by layer, but never the last head of a layer.

    Importances are divided by their layer's l2 norm first (Michel et al., 2019, section 2.3). Of
    equal ones, the first layer's first head goes first; fewer are returned where every layer is
    down to one head.
    """
    heads: list[tuple[float, int, int]] = []
    for layer, values in enumerate(importance):
        shares = (values / values.norm().clamp_min(1e-12)).tolist()
        heads += [(share, layer, head) for head, share in enumerate(shares)]
    left = [len(values) for values in importance]
    removed: dict[int, list[int]] = {}
    for _, layer, head in sorted(heads):
        if count > 0 and left[layer] > 1:
            removed.setdefault(layer, []).append(head)
            left[layer] -= 1
            count -= 1
    return {layer: sorted(removed[layer]) for layer in sorted(removed)}
