"""Patient KD: a student also learns the first-token states of its teacher's intermediate layers.

L = alpha CE + (1 - alpha) T^2 KL(teacher || student) + beta PT, where PT is the mean squared
difference of [CLS] hidden states, each divided by its length, between each of the student's layers
but the last and the teacher's layer that `strategy` gives it: every m/n-th one (`skip`) or the
topmost ones (`last`). Sun et al., 2019; thesis section 5.3; the BERT-PKD of prompt-distiller, Table
1. Defaults: alpha 0.5, beta 100, T 5, as MetaDistil's code has. alpha weighs the labels, as in
thesis eq. 5.1; in Sun et al. it weighs the teacher.

Departs from the paper: the student is the run's own backbone, not the teacher's first layers (Turc
et al., 2019, as thesis section 5.3 recommends). Departs from MetaDistil's code, whose soft loss is
a squared error of softmaxes. Regression as in vanilla-kd.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.nn.distil import (
    check_layers,
    check_temperature,
    hard_loss,
    head_scores,
    head_teacher,
    layer_map,
    read_states,
    soft_loss,
    targets,
)
from fewbench.nn.fit_context import FitContext
from fewbench.nn.losses import patient_mse
from fewbench.types import Count, Positive, Predictor, Share, Split, Task, Weight

PAPER = "Sun, Cheng, Gan and Liu, 2019 (PKD); thesis section 5.3"
NEEDS = ("student", "teacher")
SEARCH = ("lr", "batch_size")
PRESETS = {"last": {"strategy": "last"}}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    strategy: Literal["skip", "last"] = "skip",
    alpha: Share = 0.5,
    beta: Weight = 100.0,
    temperature: Positive = 5.0,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Train the student; the teacher's predictions and states are computed once."""
    teacher_model = head_teacher(kit.teacher(), teacher)
    model = HeadModel(kit.backbone("student"), task)
    depths = len(model.backbone.layers), len(teacher_model.backbone.layers)
    layers = layer_map(*depths, strategy)
    teacher_targets = targets(teacher_model, split.train)
    states = read_states(teacher_model, split.train)[:, :, [layer - 1 for layer in layers]]
    kit.notes["teacher_layers"] = layers

    def loss(batch: Batch) -> Tensor:
        *below, last = model.backbone.reads(batch)
        scores = head_scores(model, last)
        soft = soft_loss(model, scores, teacher_targets[batch.rows], temperature)
        patience = patient_mse(torch.stack(below, 1), states[batch.rows].flatten(0, 1))
        hard = hard_loss(task, scores, batch.labels)
        return alpha * hard + (1 - alpha) * soft + beta * patience

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=())
    return model


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse models of different widths, a teacher of fewer layers, and a temperature of 0."""
    check_temperature(settings["temperature"])
    check_layers(student, teacher)
