"""Carry a run out in the arithmetic that it was asked for (`fewbench.types.Arithmetic`).

PyTorch's autocast would also leave results in bfloat16, of which a softmax has eight bits and NumPy
no type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from fewbench.types import Arithmetic, Settings

PRODUCTS = (F.linear, torch.addmm)
"""The functions by which layers multiply: `addmm` is that of GPT-2."""


@contextmanager
def computing(arithmetic: Arithmetic) -> Iterator[None]:
    """Compute in an arithmetic; in the usual one nothing is touched.

    Results of linear layers are single precision again, so no other code meets another type.
    """
    with ExitStack() as stack:
        if arithmetic.dtype == "bfloat16":
            stack.enter_context(HalfProducts())
        if arithmetic.attention == "eager":
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


class HalfProducts(TorchFunctionMode):
    """Multiply in bfloat16 and return float32, while the block lasts; gradients go the same way."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Settings | None = None,
    ) -> Any:
        """Call a function of PyTorch, a product in bfloat16."""
        named = dict(kwargs or {})
        if func not in PRODUCTS:
            return func(*args, **named)
        given = [_half(value) for value in args]
        half = {name: _half(value) for name, value in named.items()}
        return func(*given, **half).float()


def _half(value: Any) -> Any:
    """Convert a tensor of single precision; leave any other value as it is."""
    is_single = isinstance(value, Tensor) and value.dtype == torch.float32
    return value.to(torch.bfloat16) if is_single else value
