"""Patient KD: a student also learns the first-token states of its teacher's intermediate layers.

L = alpha CE + (1 - alpha) T^2 KL(teacher || student) + beta PT, where PT is the mean squared
difference of [CLS] hidden states, each divided by its length, between each of the student's layers
but the last and the teacher's layer that `strategy` gives it: every m/n-th one (`skip`) or the
topmost ones (`last`). Sun et al., 2019; thesis section 5.3; the BERT-PKD of prompt-distiller, Table
1. Defaults: alpha 0.5, beta 100, T 5, as MetaDistil's code has. alpha weighs the labels, as in
thesis eq. 5.1; in Sun et al. it weighs the teacher.

States of another width are first mapped to the teacher's by a learned linear map, as TinyBERT's are
(Jiao et al., 2020, eq. 8): the paper has one width. It is also a step: `truncate+pkd` starts at the
teacher's first layers, as the paper does (thesis Table 4.1). Alone it departs from that: the
student is the run's own backbone (Turc et al., 2019, as thesis section 5.3 recommends). Departs
from MetaDistil's code, whose soft loss is a squared error of softmaxes. Regression as in
vanilla-kd.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

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
    state_map,
    targets,
)
from fewbench.nn.fit_context import FitContext
from fewbench.nn.losses import patient_mse
from fewbench.nn.task_model import TaskModel
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
    model = HeadModel(kit.backbone("student"), task)
    lesson = _Lesson(strategy, alpha, beta, temperature)
    return _taught(model, head_teacher(kit.teacher(), teacher), split, kit, lesson, lr, batch_size)


def transform(
    model: TaskModel,
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
) -> TaskModel:
    """Train the model that is there in the place of a student."""
    teacher_model, student = (head_teacher(m, teacher) for m in (kit.teacher(), model))
    check_layers(student.backbone, teacher_model.backbone)
    lesson = _Lesson(strategy, alpha, beta, temperature)
    return _taught(student, teacher_model, split, kit, lesson, lr, batch_size)


class _Lesson(NamedTuple):
    """The settings of the loss."""

    strategy: str
    alpha: float
    beta: float
    temperature: float


def _taught(
    model: HeadModel,
    teacher: HeadModel,
    split: Split,
    kit: FitContext,
    lesson: _Lesson,
    lr: float,
    batch_size: int,
) -> HeadModel:
    depths = model.backbone.depth, teacher.backbone.depth
    layers = layer_map(*depths, lesson.strategy)
    teacher_targets = targets(teacher, split.train)
    states = read_states(teacher, split.train)[:, :, [layer - 1 for layer in layers]]
    widened = state_map(model.backbone, teacher.backbone)
    kit.notes["teacher_layers"] = layers

    def loss(batch: Batch) -> Tensor:
        *below, last = model.backbone.reads(batch)
        scores = head_scores(model, last)
        soft = soft_loss(model, scores, teacher_targets[batch.rows], lesson.temperature)
        own = torch.stack(below, 1) if widened is None else widened(torch.stack(below, 1))
        patience = patient_mse(own, states[batch.rows].flatten(0, 1))
        hard = hard_loss(model.task, scores, batch.labels)
        return lesson.alpha * hard + (1 - lesson.alpha) * soft + lesson.beta * patience

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, beside=widened, carries=())
    return model


def check(task: Task, student: Backbone | None, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a teacher of fewer layers, a student of one, and a temperature of 0."""
    check_temperature(settings["temperature"])
    if student is not None:
        check_layers(student, teacher)
