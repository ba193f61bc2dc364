"""A linear layer in int8: stored weights, and inputs rounded at run time (dynamic quantisation).

Zafrir et al., 2019 (Q8BERT): symmetric and linear, x ~ s q with s = max |x| / 127. The products are
the processor's own int8 kernels. Axes: N tokens, i inputs, o outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

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
        self._packed: Any = None

    def forward(self, states: Tensor) -> Tensor:
        """Return the outputs [..., o] of inputs [..., i]."""
        if states.device.type != "cpu":
            unit = states.abs().amax(-1, keepdim=True).clamp_min(TINY)
            rounded = (states / unit * INPUT_STEPS).round() / INPUT_STEPS
            return torch.addcmul(
                self.bias, F.linear(rounded, self.weight.float() * self.scale[:, None]), unit
            )
        tokens = states.detach().reshape(-1, self.in_features)
        return in_parts(self._outputs, tokens).view(*states.shape[:-1], self.out_features)

    def _outputs(self, tokens: Tensor) -> Tensor:
        """Return the outputs of some tokens by the processor's int8 kernels."""
        shares = tokens.abs()
        unit = shares.amax(-1, keepdim=True).clamp_min_(TINY)
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            torch.div(tokens, unit, out=shares), 1 / INPUT_STEPS, INPUT_STEPS + 1, self._pack()
        )
        return torch.addcmul(self.bias, product, unit, out=product)

    def _pack(self) -> Any:
        """Return the weights in the kernel's order; made once, and never stored."""
        if self._packed is None:
            with warnings.catch_warnings():  # no other way to the kernels is offered yet
                warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
                zeros = torch.zeros(self.out_features, dtype=torch.long)
                whole = torch._make_per_channel_quantized_tensor(
                    self.weight, self.scale.double(), zeros, 0
                )
            self._packed = torch.ops.quantized.linear_prepack(whole, None)
        return self._packed

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        super()._load_from_state_dict(*arguments, **options)
        self._packed = None

    def __getstate__(self) -> Json:
        return self.__dict__ | {"_packed": None}  # a copy packs its own


def in_parts(outputs: Callable[..., Tensor], *tokens: Tensor) -> Tensor:
    """Return the outputs [N, ...] of tokens [N, ...], computed for some of them at a time.

    Each token's must not depend on the others, as those of `Int8Linear` do not.
    """
    if len(tokens[0]) <= TOKENS_AT_ONCE:
        return outputs(*tokens)
    parts = zip(*(torch.split(each, TOKENS_AT_ONCE) for each in tokens), strict=True)
    return torch.cat([outputs(*part) for part in parts])
