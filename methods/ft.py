"""Fine-tuning: a new linear classification head on the first token, all weights are trained.

smash, section 3.1, prompt-distiller, Table 1 (FT). Regression trains one output by squared error on
values scaled to 0..1; a choice scores each option as a separate sequence. In an encoder-decoder
the head reads the decoder's first state; ppt's full-model tuning of T5 is text to text instead, and
here that is prompt-ft.
"""

from __future__ import annotations

from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import FitContext
from fewbench.types import Count, Positive, Predictor, Split, Task

PAPER = "Devlin et al., 2019; smash, section 3.1"
NEEDS = ("student",)
BACKBONES = ("masked", "encoder-decoder")
SEARCH = ("lr", "batch_size")


def fit(
    task: Task, split: Split, kit: FitContext, *, lr: Positive = 1e-5, batch_size: Count = 8
) -> Predictor:
    """Train backbone and head by the protocol."""
    model = HeadModel(kit.backbone("student"), task)
    kit.train(model, lr=lr, batch_size=batch_size, carries=())
    return model
