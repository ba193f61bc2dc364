"""Masks on attention heads: what a loss would lose with each head. Axes: h heads of a layer, N
tokens, d width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Encoded
from fewbench.nn.task_model import TaskModel


@contextmanager
def masked_heads(backbone: Backbone, masks: Sequence[Tensor]) -> Iterator[None]:
    """Multiply each head's output by its mask inside the block: one tensor [h] a layer."""
    with ExitStack() as hooks:
        for layer, mask in zip(backbone.layers, masks, strict=True):

            def scale(_: Any, given: tuple[Tensor, ...], mask: Tensor = mask) -> tuple[Tensor]:
                return (
                    (given[0].view(*given[0].shape[:-1], len(mask), -1) * mask[:, None]).flatten(
                        -2
                    ),
                )

            hooks.callback(layer.output.register_forward_pre_hook(scale).remove)
        yield


def head_importance(model: TaskModel, examples: Sequence[Encoded]) -> list[Tensor]:
    """Return I_h = E_x |dL(x) / d xi_h| for each layer's head masks xi at 1, [h] each (Michel et
    al., 2019, eq. 2).

    The model is in evaluation mode while it is asked, and examples go one by one, for the absolute
    value is each one's.
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
    """Return `count` heads to remove, by layer: those of least importance, but never the last one
    of a layer.

    Importances are divided by their layer's l2 norm first (Michel et al., 2019, section 2.3). Of
    equal ones, the first layer's first head goes first; fewer are returned where every layer is
    down to one head.
    """
    shares = [(one / one.norm().clamp_min(1e-12)).tolist() for one in importance]
    gone: dict[int, list[int]] = {}
    for _, layer, head in sorted(
        (value, i, j) for i, row in enumerate(shares) for j, value in enumerate(row)
    ):
        if (
            sum(map(len, gone.values())) < count
            and len(gone.get(layer, [])) < len(shares[layer]) - 1
        ):
            gone.setdefault(layer, []).append(head)
    return {layer: sorted(gone[layer]) for layer in sorted(gone)}
