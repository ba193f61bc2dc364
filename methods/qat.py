"""Quantisation-aware training: fine-tuning with weights and activations rounded to 8 bits.

Q8BERT (Zafrir et al., 2019), the Q8-QAT of thesis, Table 4.1: the pretrained model is fine-tuned
with fake quantisation of embeddings and of the linear layers of every Transformer layer. Values are
rounded in the forward pass, gradients go straight through the rounding, and activations are scaled
by exponential moving averages (EMA) of their largest magnitudes, which stay as they are at test
time. Weights have one scale a matrix.

Departs from Q8BERT: the new head stays in floating point, and so do outputs of linear layers, some
of which its implementation rounds. The model is computed in floating point, which saves no time.
"""

from __future__ import annotations

from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import FitContext
from fewbench.nn.quantize import fake_quantize
from fewbench.types import Count, Positive, Predictor, Share, Split, Task

PAPER = "Zafrir et al., 2019 (Q8BERT); thesis section 4.4"
NEEDS = ("student",)
SEARCH = ("lr", "batch_size")


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
    decay: Share = 0.9999,
) -> Predictor:
    """Train rounded backbone and head by the protocol."""
    model = HeadModel(kit.backbone("student"), task)
    fake_quantize(model.backbone, decay=decay)
    kit.train(model, lr=lr, batch_size=batch_size, carries=())
    kit.notes["int8"] = "rounded in floating point: static ranges of 8 bits"
    return model
