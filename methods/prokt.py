"""Proximal knowledge teaching: the teacher learns the labels while it stays near its student.

Shi et al., 2021 (ProKT). On each batch the teacher is updated by (1 - lambda) CE + lambda KL(p_s ||
p_t), its predictions are made again, and the student is updated by KL(p_t || p_s) alone: the
teacher of each moment is a target that the student can reach. The teacher starts from its
pretrained weights with a new head; `constraint` is lambda. Labels reach the student through the
teacher, and choose the checkpoint, on dev. Both have one learning rate, unless `teacher_lr` is
given. Regression as in vanilla-kd.

Departs from the authors' code: heads are not zero at the start, a model that teaches does so
without dropout, and the teacher's rate is the student's (their example has 3e-5 and 1e-4).
"""

from __future__ import annotations

from torch import Tensor

from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.nn.companion import Companion
from fewbench.nn.distil import hard_loss, opinion, soft_loss
from fewbench.nn.fit_context import FitContext
from fewbench.nn.sparse_embeddings import focus_on
from fewbench.types import Count, Positive, Predictor, Share, Split, Task

PAPER = "Shi et al., 2021 (ProKT); thesis section 5.3.1"
NEEDS = ("student", "teacher")
SEARCH = ("lr", "batch_size")


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    constraint: Share = 0.4,
    teacher_lr: Positive | None = None,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Train both models, and return the student."""
    teacher = HeadModel(kit.backbone("teacher"), task)
    model = HeadModel(kit.backbone("student"), task)
    protocol = kit.protocol.in_updates(len(split.train), batch_size)

    def loss(batch: Batch) -> Tensor:
        read = peer.own(batch)
        student_says = opinion(model, batch)

        def near_student(scores: Tensor) -> Tensor:
            hard = hard_loss(task, scores, batch.labels)
            soft = soft_loss(teacher, scores, student_says, 1.0)
            return (1 - constraint) * hard + constraint * soft

        peer.update(read, near_student)
        return soft_loss(model, model(batch), peer.targets(read), 1.0)

    with focus_on(teacher, kit.protocol, split.train):
        peer = Companion(teacher, split.train, protocol, teacher_lr or lr)
        kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=[peer])
    return model
