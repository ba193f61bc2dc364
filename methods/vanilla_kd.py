"""Vanilla KD: fine-tune a student on labels and on a fine-tuned teacher's softened predictions.

L = alpha CE + (1 - alpha) T^2 KL(softmax(z_t / T) || softmax(z_s / T)): alpha weighs the labels, as
in thesis eq. 5.1 (Hinton et al., 2015; prompt-distiller, Table 1 "Vanilla KD"; smash, eq. 1).
With `kd=logits` MSE(z_s, z_t) stands in the place of the KL (thesis section 5.3.1). The student has
its own head, the teacher is frozen.

The papers have no regression: there both terms are squared errors on values scaled to 0..1, to the
teacher's value and to the label.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.nn.distil import check_temperature, hard_loss, logits, soft_loss, targets
from fewbench.nn.fit_context import FitContext
from fewbench.nn.losses import distillation_kl, logit_mse
from fewbench.types import Count, Positive, Predictor, Share, Split, Task

PAPER = "Hinton, Vinyals and Dean, 2015; thesis section 5.2.1"
NEEDS = ("student", "teacher")
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
    read, distance = (logits, logit_mse) if kd == "logits" else (targets, distillation_kl)
    teacher_targets = read(kit.teacher(), split.train)
    model = HeadModel(kit.backbone("student"), task)

    def loss(batch: Batch) -> Tensor:
        scores = model(batch)
        soft = soft_loss(model, scores, teacher_targets[batch.rows], temperature, distance)
        return alpha * hard_loss(task, scores, batch.labels) + (1 - alpha) * soft

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=())
    return model


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a temperature of 0 or below."""
    check_temperature(settings["temperature"])
