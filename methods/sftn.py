"""Student-friendly teacher: the teacher is trained with branches of the student on its layers.

Park et al., 2021. First L = L_T + branch_ce L_CE + branch_kl L_KL trains the teacher from its
pretrained weights: L_T is its own loss, and L_CE and L_KL are means over the branches of their loss
on the labels, and of KL(p_T || p_R). Branch m takes the teacher's states at layer g(m) = m M_t /
M_s by a linear map to layer m of a student, whose remaining layers and head it has as its own, from
the student's pretrained weights. Then the branches are left, and vanilla-kd follows (`alpha`, `kd`
and `temperature` are its own). Both have one learning rate, unless `teacher_lr` is given.

Read into the paper: KL is the one of distillation, teacher first, and moves both sides. The two
weights are ours: they were not checked against the paper's. Regression as in vanilla-kd.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.nn.distil import (
    check_layers,
    check_temperature,
    hard_loss,
    head_scores,
    layer_map,
    logits,
    said,
    soft_loss,
    targets,
)
from fewbench.nn.fit_context import FitContext
from fewbench.nn.losses import distillation_kl, logit_mse
from fewbench.types import Count, Positive, Predictor, Share, Split, Task, Weight

PAPER = "Park et al., 2021 (SFTN); thesis section 5.3.1"
NEEDS = ("student", "teacher")
SEARCH = ("lr", "batch_size")


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    branch_ce: Weight = 1.0,
    branch_kl: Weight = 3.0,
    alpha: Share = 0.5,
    kd: Literal["kl", "logits"] = "kl",
    temperature: Positive = 2.0,
    teacher_lr: Positive | None = None,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Train the teacher with branches, then a student by its predictions."""
    teacher = HeadModel(kit.backbone("teacher"), task)
    branches = branches_of(teacher, task, kit)

    def friendly(batch: Batch) -> Tensor:
        states = teacher.backbone.hidden_states(batch)
        scores = head_scores(teacher, states[-1].index_select(0, batch.read))
        value, wanted = hard_loss(task, scores, batch.labels), said(teacher, scores)
        for branch in branches:
            own = branch(states, batch)
            hard = hard_loss(task, own, batch.labels)
            soft = soft_loss(teacher, own, wanted, 1.0)
            value = value + (branch_ce * hard + branch_kl * soft) / len(branches)
        return value

    kit.train(
        teacher,
        lr=teacher_lr or lr,
        batch_size=batch_size,
        loss=friendly,
        carries=(),
        beside=branches,
    )
    read, distance = (logits, logit_mse) if kd == "logits" else (targets, distillation_kl)
    teacher_targets = read(teacher, split.train)
    model = HeadModel(kit.backbone("student"), task)

    def loss(batch: Batch) -> Tensor:
        scores = model(batch)
        soft = soft_loss(model, scores, teacher_targets[batch.rows], temperature, distance)
        return alpha * hard_loss(task, scores, batch.labels) + (1 - alpha) * soft

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=())
    return model


class StudentBranch(nn.Module):
    """The layers of a student above one of them, on a teacher's states.

    Args:
        student: its layers above and its head are trained, the rest is frozen.
        layer: of the student, from 1; its output is what the map makes.
        taught_by: the teacher's layer that is mapped, from 1.
        width: of the teacher.
    """

    def __init__(self, student: HeadModel, layer: int, taught_by: int, width: int) -> None:
        super().__init__()
        self.student, self.layer, self.taught_by = student.requires_grad_(False), layer, taught_by
        self.widened = nn.Linear(width, student.backbone.config.hidden_size)
        self.widened.to(student.backbone.device)
        for part in student.backbone.parts(layer):
            part.requires_grad_(True)
        student.output.requires_grad_(True)

    def forward(self, states: list[Tensor], batch: Batch) -> Tensor:
        """Return the student's scores [B, C] or [B, 1] of the teacher's states, [N, d] each."""
        mapped = self.widened(states[self.taught_by])
        return head_scores(self.student, self.student.backbone.read_from(mapped, self.layer, batch))


def branches_of(teacher: HeadModel, task: Task, kit: FitContext) -> nn.ModuleList:
    """Return a branch for each of the student's layers but the last, ready to be trained."""
    depth = len(kit.backbone("student").layers)
    layers = layer_map(depth, len(teacher.backbone.layers), "skip")
    width = teacher.backbone.config.hidden_size
    branches = nn.ModuleList(
        StudentBranch(HeadModel(kit.backbone("student"), task), layer, taught_by, width)
        for layer, taught_by in enumerate(layers, 1)
    )
    return branches.train()


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a teacher of fewer layers, a student of one or whole, and a temperature of 0."""
    student.check_layers()
    check_temperature(settings["temperature"])
    check_layers(student, teacher)
