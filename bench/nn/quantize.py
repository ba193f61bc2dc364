"""Models of linear layers in int8 (Q8BERT: Zafrir et al., 2019).

`quantize` stores weights in int8 (`fewbench.nn.int8`). `fake_quantize` rounds in floating point, so
that the model can still be trained (`fewbench.nn.rounding`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from fewbench.nn.backbone import Backbone
from fewbench.nn.int8 import Int8Linear
from fewbench.nn.rounding import FakeQuantizedEmbedding, FakeQuantizedLinear


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
