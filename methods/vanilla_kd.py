"""Vanilla KD: fine-tune a student on labels and on a fine-tuned teacher's softened predictions.

L = alpha CE + (1 - alpha) T^2 KL(softmax(z_t / T) || softmax(z_s / T)): alpha weighs the labels, as
in thesis eq. 5.1 (Hinton et al., 2015; prompt-distiller, Table 1 "Vanilla KD"; smash, eq. 1).
With `kd=logits` MSE(z_s, z_t) stands in the place of the KL (thesis section 5.3.1). The student has
its own head, the teacher is frozen.

An answer that is a span of a passage has two such losses, the mean of which is taken: among the
tokens of a window, for the first and for the last token. Teacher and student read the same tokens.

The papers have no regression: there both terms are squared errors on values scaled to 0..1, to the
teacher's value and to the label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.distil import (
    check_temperature,
    check_vocabulary,
    hard_loss,
    logits,
    soft_loss,
    targets,
)
from fewbench.nn.fit_context import FitContext
from fewbench.nn.heads import head_model
from fewbench.nn.losses import distillation_kl, logit_mse
from fewbench.nn.span_distil import span_targets
from fewbench.nn.span_model import check_span_reader
from fewbench.nn.task_model import TaskModel
from fewbench.types import Count, Example, Positive, Predictor, Share, Split, Task

PAPER = "Hinton, Vinyals and Dean, 2015; thesis section 5.2.1"
NEEDS = ("student", "teacher")
KINDS = ("single", "pair", "choice", "regression", "span")
BACKBONES = ("masked", "causal", "encoder-decoder")
SEARCH = ("lr", "batch_size")


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    alpha: Share = 0.5,
    kd: Literal["kl", "logits"] = "kl",
    temperature: Positive = 2.0,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Train the student on both losses; the teacher's predictions are computed once."""
    distance = logit_mse if kd == "logits" else distillation_kl
    taught = taught_by(kit.teacher(), split.train, kd)
    model = head_model(kit.backbone("student"), task)

    def loss(batch: Batch) -> Tensor:
        scores = model(batch)
        soft = soft_loss(model, scores, taught(batch), temperature, distance)
        return alpha * hard_loss(task, scores, batch.labels) + (1 - alpha) * soft

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=())
    return model


def taught_by(
    teacher: TaskModel, examples: Sequence[Example], kd: str
) -> Callable[[Batch], Tensor]:
    """Compute what a teacher says of examples; return what looks it up for a batch.

    That gives log-probabilities [n, C], or logits if `kd` is "logits" (regression: values [n]); for
    spans the scores of `SpanTargets`, [2S, T].
    """
    if teacher.task.format == "span":
        return span_targets(teacher, examples).of
    found = (logits if kd == "logits" else targets)(teacher, examples)
    return lambda batch: found[batch.rows]


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a temperature of 0 or below, and for spans models that do not read alike."""
    check_temperature(settings["temperature"])
    if task.format == "span":
        check_span_reader(student)
        check_vocabulary(student, teacher)
        if settings["kd"] == "logits":
            raise BenchError("kd=logits has no meaning for the tokens of passages", fix="kd=kl")
