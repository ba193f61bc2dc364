"""Deep mutual learning: student and teacher learn together, each from labels and from the other.

Zhang et al., 2018, eq. 1-6 and Algorithm 1: L_1 = CE_1 + KL(p_2 || p_1) and L_2 = CE_2 + KL(p_1 ||
p_2). On each batch the first network is updated, its predictions are made again, and then the
second is updated. The first is the teacher here, from its pretrained weights with a new head; the
second is the student, which is kept. Both have one learning rate, unless `teacher_lr` is given.
Regression as in vanilla-kd.

Departs from the paper: a model that teaches does so without dropout.
"""

from __future__ import annotations

from torch import Tensor

from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.nn.companion import Companion
from fewbench.nn.distil import hard_loss, opinion, soft_loss
from fewbench.nn.fit_context import FitContext
from fewbench.nn.sparse_embeddings import focus_on
from fewbench.types import Count, Positive, Predictor, Split, Task

PAPER = "Zhang et al., 2018 (DML); thesis section 5.3.1"
NEEDS = ("student", "teacher")
SEARCH = ("lr", "batch_size")


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher_lr: Positive | None = None,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Train both models, and return the student."""
    teacher = HeadModel(kit.backbone("teacher"), task)
    model = HeadModel(kit.backbone("student"), task)
    protocol = kit.protocol.in_updates(len(split.train), batch_size)

    def both(scores: Tensor, labels: Tensor, own: HeadModel, other: Tensor) -> Tensor:
        return hard_loss(task, scores, labels) + soft_loss(own, scores, other, 1.0)

    def loss(batch: Batch) -> Tensor:
        read = peer.own(batch)
        student_says = opinion(model, batch)
        peer.update(read, lambda scores: both(scores, batch.labels, teacher, student_says))
        return both(model(batch), batch.labels, model, peer.targets(read))

    with focus_on(teacher, kit.protocol, split.train):
        peer = Companion(teacher, split.train, protocol, teacher_lr or lr)
        kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=[peer])
    return model
