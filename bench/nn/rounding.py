"""Fake quantisation: layers whose numbers are rounded to 8 bits in floating point, and trained.

Zafrir et al., 2019 (Q8BERT): symmetric and linear, and the gradient goes straight through the
rounding. Axes: i inputs, o outputs, V rows, d width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_STEP = 127
"""2^(8 - 1) - 1 steps on each side of zero."""
TINY = 1e-12


def fake_quantize(values: Tensor, largest: Tensor) -> Tensor:
    """Round values to the 8-bit grid of a range, with a straight-through gradient.

    clamp(round(x S), -127, 127) / S with S = 127 / largest; the gradient is the identity's (Q8BERT,
    quantisation scheme and quantisation-aware training).

    Args:
        values: of any shape.
        largest: the magnitude that the grid ends at, of a shape that broadcasts.
    """
    step = largest.clamp_min(TINY) / LARGEST_STEP
    rounded = (values / step).round().clamp(-LARGEST_STEP, LARGEST_STEP) * step
    return values + (rounded - values).detach()


class FakeQuantizedLinear(nn.Module):
    """A linear layer whose weights and inputs are rounded; its outputs and its bias are not.

    The range of the weights is that of today's matrix. The range of the inputs is an exponential
    moving average (EMA) of each batch's largest magnitude. It moves in training, and while
    `observes` is set; it stays as it is otherwise: an answer depends on its example alone.

    Attributes:
        weight: [o, i], in floating point.
        bias: [o].
        input_range: a number, 0 before the first batch.
        observes: follow the ranges of inputs outside training too.
    """

    input_range: Tensor

    def __init__(self, linear: nn.Linear, per_channel: bool = False, decay: float = 0.9999) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.per_channel, self.decay = per_channel, decay
        self.observes = False
        self.register_buffer("input_range", torch.zeros((), device=linear.weight.device))

    def forward(self, states: Tensor) -> Tensor:
        """Return the outputs [..., o] of inputs [..., i]."""
        if self.training or self.observes:
            self._follow(states.detach().abs().amax())
        inputs = fake_quantize(states, self.input_range)
        return F.linear(inputs, fake_quantize(self.weight, self._weight_range()), self.bias)

    def _weight_range(self) -> Tensor:
        """Return the largest magnitude of the matrix, or of each output's weights, [o, 1]."""
        magnitudes = self.weight.detach().abs()
        return magnitudes.amax(1, keepdim=True) if self.per_channel else magnitudes.amax()

    def _follow(self, largest: Tensor) -> None:
        """Move the input range towards a batch's; the first batch sets it."""
        moved = self.decay * self.input_range + (1 - self.decay) * largest
        self.input_range.copy_(torch.where(self.input_range > 0, moved, largest))


class FakeQuantizedEmbedding(nn.Module):
    """An embedding whose rows are rounded, with one scale for the whole matrix.

    Attributes:
        weight: [V, d], in floating point; a language head may share it, and reads it unrounded.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = embedding.num_embeddings, embedding.embedding_dim
        self.padding_idx = embedding.padding_idx
        self.weight = embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rounded embeddings [..., d] of token ids [...]."""
        rows = F.embedding(ids, self.weight, self.padding_idx)
        return fake_quantize(rows, self.weight.detach().abs().amax())
