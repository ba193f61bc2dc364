"""Linear layers in int8: stored weights, and inputs rounded at run time (dynamic quantisation).

Zafrir et al., 2019 (Q8BERT): symmetric and linear, x ~ s q with s = max |x| / 127. The products are
the processor's own int8 kernels. `fake_quantize` rounds in floating point instead, so that the
model can still be trained (`fewbench.nn.rounding`). Axes: N tokens, i inputs, o outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.nn.backbone import Backbone
from fewbench.nn.rounding import FakeQuantizedEmbedding, FakeQuantizedLinear
from fewbench.types import Json

WEIGHT_STEPS = 127
INPUT_STEPS = 63
"""Inputs have 7 bits: without VNNI, processors add two products in 16 bits, which 8 would overflow.
"""
TINY = 1e-12
TOKENS_AT_ONCE = 256
"""So many tokens' inputs and products stay in the processor's caches on their way."""


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
            unit = _unit(states)
            rounded = (states / unit * INPUT_STEPS).round() / INPUT_STEPS
            return torch.addcmul(
                self.bias, F.linear(rounded, self.weight.float() * self.scale[:, None]), unit
            )
        tokens = states.reshape(-1, self.in_features)
        if len(tokens) <= TOKENS_AT_ONCE:
            return self._outputs(states)
        outputs = tokens.new_empty(len(tokens), self.out_features)
        parts = (torch.split(all_of, TOKENS_AT_ONCE) for all_of in (tokens, outputs))
        for part, into in zip(*parts, strict=True):
            into.copy_(self._outputs(part))
        return outputs.view(*states.shape[:-1], self.out_features)

    def _outputs(self, states: Tensor) -> Tensor:
        """Return the outputs of some tokens by the processor's int8 kernels."""
        unit = _unit(states)
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            states / unit, 1 / INPUT_STEPS, INPUT_STEPS + 1, self._pack()
        )
        return torch.addcmul(self.bias, product, unit)

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


def _unit(states: Tensor) -> Tensor:
    """Return each token's largest value, [..., 1]."""
    return states.abs().amax(-1, keepdim=True).clamp_min(TINY)


def quantize(backbone: Backbone, per_channel: bool = True) -> None:
    """Turn the linear layers of every Transformer layer into int8, and nothing else.

    Args:
        backbone: changed in place; it cannot be trained any more.
        per_channel: a scale for each output; otherwise one for the whole matrix, as in the paper.
    """
    for name, linear in backbone.linears().items():
        backbone.model.set_submodule(name, Int8Linear(linear, per_channel))
    backbone.changes.append({"change": "quantize", "per_channel": per_channel})


def fake_quantize(backbone: Backbone, per_channel: bool = False, decay: float = 0.9999) -> None:
    """Round embeddings, weights and inputs of all layers to 8 bits, in floating point (Q8BERT).

    Args:
        backbone: changed in place; its weights can be trained, and its input ranges are still to be
            set, by training or by `observed_ranges`.
        per_channel: a scale for each output; otherwise one for the whole matrix, as in the paper.
        decay: of the moving averages of the input ranges.
    """
    for name, linear in backbone.linears().items():
        backbone.model.set_submodule(name, FakeQuantizedLinear(linear, per_channel, decay))
    names = {id(module): name for name, module in backbone.model.named_modules()}
    for embedding in backbone.embedded():
        if isinstance(embedding, nn.Embedding):
            name = names[id(embedding)]
            backbone.model.set_submodule(name, FakeQuantizedEmbedding(embedding))
    backbone.changes.append({"change": "fake_quantize", "per_channel": per_channel, "decay": decay})


@contextmanager
def observed_ranges(backbone: Backbone) -> Iterator[None]:
    """Set the input ranges of a fake-quantised model by the batches that it reads inside."""
    modules = backbone.model.modules()
    layers = [module for module in modules if isinstance(module, FakeQuantizedLinear)]
    for layer in layers:
        layer.observes = True
    try:
        yield
    finally:
        for layer in layers:
            layer.observes = False
