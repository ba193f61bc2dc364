"""Fine-tuning: a new linear classification head on the first token, all weights are trained.

smash, section 3.1, prompt-distiller, Table 1 (FT). Regression trains one output by squared error on
values scaled to 0..1; a choice scores each option as a separate sequence; where the answer is a
span of a passage, two outputs score each token as its first and as its last (Devlin et al., 2019,
section 4.2). In an encoder-decoder
the head reads the decoder's first state; ppt's full-model tuning of T5 is text to text instead, and
here that is prompt-ft.
"""

from __future__ import annotations

from typing import Any

from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext
from fewbench.nn.heads import head_model
from fewbench.nn.span_model import check_span_reader
from fewbench.types import Count, Positive, Predictor, Split, Task

PAPER = "Devlin et al., 2019; smash, section 3.1"
NEEDS = ("student",)
KINDS = ("single", "pair", "choice", "regression", "span")
BACKBONES = ("masked", "causal", "encoder-decoder")
SEARCH = ("lr", "batch_size")


def fit(
    task: Task, split: Split, kit: FitContext, *, lr: Positive = 1e-5, batch_size: Count = 8
) -> Predictor:
    """Train backbone and head by the protocol."""
    model = head_model(kit.backbone("student"), task)
    kit.train(model, lr=lr, batch_size=batch_size, carries=())
    return model


def check(task: Task, student: Backbone, teacher: None, /, **settings: Any) -> None:
    """Refuse a model that cannot answer by a span, where the task asks for one."""
    if task.format == "span":
        check_span_reader(student)
