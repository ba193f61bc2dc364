"""A linear layer in int8: stored weights, and inputs rounded at run time (dynamic quantisation).

Zafrir et al., 2019 (Q8BERT): symmetric and linear, x ~ s q with s = max |x| / 127. The products are
the processor's own int8 kernels. Axes: N tokens, i inputs, o outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.types import Json

WEIGHT_STEPS = 127
INPUT_STEPS = 63
"""Inputs have 7 bits: without VNNI, processors add two products in 16 bits, which 8 would overflow.
"""
TINY = 1e-12
TOKENS_AT_ONCE = 256
"""What is computed for so many tokens on the way stays in the processor's caches."""


class Int8Linear(nn.Module):
    """A linear layer with int8 weights; inputs are rounded, each token by its own largest value.

    By token, for then an answer does not depend on what else is in its batch. On a processor the
    products are int8; on other devices the same rounding is computed in floating point, which saves
    no time.

    Attributes:
        weight: [o, i] int8.
        scale: [o], what one step of a row's weights is worth.
        bias: [o].
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear, per_channel: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        full = linear.weight.detach()
        largest = full.abs().amax(1) if per_channel else full.abs().max().expand(self.out_features)
        scale = (largest.clamp_min(TINY) / WEIGHT_STEPS).clone()
        self.register_buffer("weight", (full / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale)
        bias = torch.zeros(self.out_features) if linear.bias is None else linear.bias
        self.register_buffer("bias", bias.detach().to(full.device, copy=True))
        self._stamp = object()
        self._packs: dict[tuple[object, ...], _Pack] = {}

    def forward(self, states: Tensor) -> Tensor:
        """Return the outputs [..., o] of inputs [..., i]."""
        if states.device.type == "cpu":
            return outputs_beside([self], states)
        unit = states.abs().amax(-1, keepdim=True).clamp_min(TINY)
        rounded = (states / unit * INPUT_STEPS).round() / INPUT_STEPS
        weight = self.weight.float() * self.scale[:, None]
        return torch.addcmul(self.bias, F.linear(rounded, weight), unit)

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        super()._load_from_state_dict(*arguments, **options)
        self._stamp, self._packs = object(), {}

    def __getstate__(self) -> Json:
        return self.__dict__ | {"_stamp": object(), "_packs": {}}  # a copy packs its own


class _Pack(NamedTuple):
    """Weights in the order of the processor's int8 kernels, and the bias."""

    weight: Any
    bias: Tensor


def all_int8(layers: Sequence[object]) -> list[Int8Linear]:
    """Return the layers if all of them are in int8, none otherwise."""
    found = [layer for layer in layers if isinstance(layer, Int8Linear)]
    return found if len(found) == len(layers) else []


def outputs_beside(layers: Sequence[Int8Linear], states: Tensor) -> Tensor:
    """Return the outputs of layers beside each other, [..., sum of o], for the inputs [..., i].

    The inputs are rounded once for all layers, and one product is made, to the same bits.
    """
    if states.device.type != "cpu":
        return torch.cat([layer(states) for layer in layers], -1)
    pack = _packed(layers)

    def outputs(tokens: Tensor) -> Tensor:
        shares = tokens.abs()
        unit = shares.amax(-1, keepdim=True).clamp_min_(TINY)
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            torch.div(tokens, unit, out=shares), 1 / INPUT_STEPS, INPUT_STEPS + 1, pack.weight
        )
        return torch.addcmul(pack.bias, product, unit, out=product)

    tokens = states.detach().reshape(-1, states.shape[-1])
    return in_parts(outputs, tokens).view(*states.shape[:-1], len(pack.bias))


def _packed(layers: Sequence[Int8Linear]) -> _Pack:
    """Return the weights of layers as the kernel takes them; made once, and never stored."""
    packs, stamps = layers[0]._packs, tuple(layer._stamp for layer in layers)
    if stamps not in packs:
        weight = torch.cat([layer.weight for layer in layers])
        scale = torch.cat([layer.scale for layer in layers])
        bias = torch.cat([layer.bias for layer in layers])
        with warnings.catch_warnings():  # no other way to the kernels is offered yet
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
            zeros = torch.zeros(len(scale), dtype=torch.long)
            whole = torch._make_per_channel_quantized_tensor(weight, scale.double(), zeros, 0)
        packs[stamps] = _Pack(torch.ops.quantized.linear_prepack(whole, None), bias)
    return packs[stamps]


def in_parts(outputs: Callable[..., Tensor], *tokens: Tensor) -> Tensor:
    """Return the outputs [N, ...] of tokens [N, ...], computed for some of them at a time.

    Each token's must not depend on the others, as those of `Int8Linear` do not.
    """
    if len(tokens[0]) <= TOKENS_AT_ONCE:
        return outputs(*tokens)
    parts = zip(*(torch.split(each, TOKENS_AT_ONCE) for each in tokens), strict=True)
    return torch.cat([outputs(*part) for part in parts])
