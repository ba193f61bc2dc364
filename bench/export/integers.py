"""Layers in int8 as operators of ONNX, which any processor computes as the simulation did.

torch's own int8 kernels have no form in ONNX. The products are `MatMulInteger`, whose first input
is unsigned. The scheme is the simulation's: `fewbench.nn.int8` rounds each token's inputs to 7
bits by its own largest value, `fewbench.nn.rounding` to 8 bits of a range that is fixed. Axes: i
inputs, o outputs, V rows, d width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.nn.int8 import INPUT_STEPS, Int8Linear
from fewbench.nn.int8 import TINY as TINY_INPUT
from fewbench.nn.rounding import (
    LARGEST_STEP,
    TINY,
    FakeQuantizedEmbedding,
    FakeQuantizedLinear,
)

UNSIGNED = 128
"""What is added to steps of -127 to 127 to make them unsigned."""


def use_integers(model: nn.Module) -> None:
    """Replace the int8 layers and the simulated ones of a model by their ONNX forms, in place."""
    for name, module in [*model.named_modules()]:
        if isinstance(module, Int8Linear):
            model.set_submodule(name, DynamicIntegerLinear(module))
        elif isinstance(module, FakeQuantizedLinear):
            model.set_submodule(name, StaticIntegerLinear(module))
        elif isinstance(module, FakeQuantizedEmbedding):
            model.set_submodule(name, IntegerEmbedding(module))


class IntegerProducts(nn.Module):
    """A linear layer whose products are of whole numbers.

    Attributes:
        weight: [i, o], int8 or uint8.
        weight_zero: the number in `weight` that stands for 0.
        input_zero: the number in the inputs that stands for 0, uint8.
        scale: [o], the worth of one step of a product, as far as it is fixed.
        bias: [o].
    """

    weight: Tensor
    weight_zero: Tensor
    input_zero: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(
        self, weight: Tensor, weight_zero: int, input_zero: int, scale: Tensor, bias: Tensor
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("weight", weight.T.contiguous())
        self.register_buffer("weight_zero", torch.tensor(weight_zero, dtype=weight.dtype))
        self.register_buffer("input_zero", torch.tensor(input_zero, dtype=torch.uint8))
        self.register_buffer("scale", scale.clone())
        self.register_buffer("bias", bias.detach().clone())

    def multiply(self, steps: Tensor) -> Tensor:
        """Return the scaled products [..., o] of inputs in steps [..., i], to be rounded."""
        rounded = (steps.round() + self.input_zero).to(torch.uint8)
        product = torch.onnx.ops.symbolic(
            "MatMulInteger",
            [rounded, self.weight, self.input_zero, self.weight_zero],
            dtype=torch.int32,
            shape=[*steps.shape[:-1], self.weight.shape[1]],
        )
        return product.float() * self.scale


class DynamicIntegerLinear(IntegerProducts):
    """`Int8Linear`: weights of 8 bits, and inputs of 7 by each token's own largest value."""

    def __init__(self, layer: Int8Linear) -> None:
        scale = layer.scale / INPUT_STEPS
        super().__init__(layer.weight, 0, INPUT_STEPS + 1, scale, layer.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Return the outputs [..., o] of inputs [..., i]."""
        unit = states.abs().amax(-1, keepdim=True).clamp_min(TINY_INPUT)
        # The token's scale comes last: ONNX Runtime would take it for one of the whole matrix if
        # it were multiplied with the fixed one first.
        return self.multiply(states * (INPUT_STEPS / unit)) * unit + self.bias


class StaticIntegerLinear(IntegerProducts):
    """`FakeQuantizedLinear`: weights and inputs of 8 bits, the range of the inputs fixed.

    Both sides are unsigned: on processors without VNNI, signed weights by inputs of 8 bits overflow
    16 bits.
    """

    input_step: Tensor

    def __init__(self, layer: FakeQuantizedLinear) -> None:
        full = layer.weight.detach()
        step = layer._weight_range().clamp_min(TINY) / LARGEST_STEP
        input_step = layer.input_range.clamp_min(TINY) / LARGEST_STEP
        steps = (full / step).round().clamp(-LARGEST_STEP, LARGEST_STEP)
        scale = (step * input_step).flatten().expand(full.shape[0])
        unsigned = (steps + UNSIGNED).to(torch.uint8)
        super().__init__(unsigned, UNSIGNED, UNSIGNED, scale, layer.bias)
        self.register_buffer("input_step", input_step.clone())

    def forward(self, states: Tensor) -> Tensor:
        """Return the outputs [..., o] of inputs [..., i]."""
        steps = (states / self.input_step).clamp(-LARGEST_STEP, LARGEST_STEP)
        return self.multiply(steps) + self.bias


class IntegerEmbedding(nn.Module):
    """`FakeQuantizedEmbedding`: rows of int8 with one scale.

    Attributes:
        weight: [V, d] int8.
        scale: the worth of one step.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, layer: FakeQuantizedEmbedding) -> None:
        super().__init__()
        full = layer.weight.detach()
        self.num_embeddings, self.embedding_dim = full.shape
        self.register_buffer("scale", full.abs().amax().clamp_min(TINY) / LARGEST_STEP)
        self.register_buffer("weight", (full / self.scale).round().to(torch.int8))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings [..., d] of token ids [...]."""
        return F.embedding(ids, self.weight).float() * self.scale
