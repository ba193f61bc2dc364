"""MetaDistil: a student learns from a teacher that is trained on how well the student learns.

thesis, Algorithm 1. Each update, on a batch of train: L_S = alpha CE + (1 - alpha) KD + beta PT
(eq. 5.1: alpha weighs the labels); a trial student takes one plain step on it (eq. 5.2); the
teacher is updated by the gradient of the trial student's loss on quiz examples (eq. 5.3); the
student is updated on the same batch by the new teacher. That is the pilot update; without it
(`no-pilot`) by the teacher as it was. The quiz is cut from train (9 : 1, by label), where the
reference implementation takes dev: the student never trains on it, and dev stays for selection.

KD is a squared error: of the softmaxes at T, times T^2, as its code has it (`mse`), or of the
logits, as thesis 5.3.1 says (`logits`); `kl` is Hinton's, as in 5.6. PT is pkd's term, which the
thesis says it does without; `reference` has it. Regression as in vanilla-kd.

The record has the teacher's dev scores beside the student's (`teacher_curve`; thesis Figure 5.5).
`returns=teacher` gives the teacher as the last update left it, of the trial in which that is best
on dev: it may be another trial than the student's. Static and cross teaching (thesis section 5.6.3)
are methods with `teacher=metadistil:returns=teacher`: vanilla-kd teaches the same student again,
truncate+kd another one.

Departs from the reference implementation: a batch of the quiz an update, not all of it. Only the
student's rate and batch are searched, not mu (`teacher_lr`) and alpha. Departs from the thesis,
whose teacher never fits the quiz: it begins as every other method's teacher, fine-tuned on all of
train, the quiz with it.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from fewbench.data.metrics import score_on
from fewbench.nn import distil
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import FitContext
from fewbench.nn.losses import distillation_kl, logit_mse, patient_mse, softened_mse
from fewbench.nn.sparse_embeddings import focus_on
from fewbench.types import Count, Positive, Predictor, Share, Split, Task, Weight

from .bilevel import MetaTeacher, check_quiz, cut_quiz

PAPER = "Zhou, Xu and McAuley, 2022 (MetaDistil); thesis chapter 5"
NEEDS = ("student", "teacher")
SEARCH = ("lr", "batch_size")
DISTANCES = {"mse": softened_mse, "logits": logit_mse, "kl": distillation_kl}
PRESETS = {"no-pilot": {"pilot": False}, "reference": {"beta": 100.0, "temperature": 5.0}}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    alpha: Share = 0.5,
    kd: Literal["mse", "logits", "kl"] = "mse",
    temperature: Positive = 2.0,
    beta: Weight = 0.0,
    pilot: bool = True,
    quiz: Share = 0.1,
    returns: Literal["student", "teacher"] = "student",
    teacher_lr: Weight = 1e-5,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Train the student and, by a quiz after each lesson, its teacher."""
    teacher_model = distil.head_teacher(kit.source(), teacher)
    model = HeadModel(kit.backbone("student"), task)
    lessons, quiz_examples = cut_quiz(task, split, quiz)
    encoded = teacher_model.encode(lessons.train)
    quizzes = distil.BatchStream(model, quiz_examples, batch_size, kit.seed)
    depths = model.backbone.depth, teacher_model.backbone.depth
    layers = [layer - 1 for layer in distil.layer_map(*depths, "skip")]
    distance = DISTANCES[kd]
    protocol = kit.protocol.in_updates(len(lessons.train), batch_size)

    def teacher_score() -> float:
        return score_on(task, split.dev, teacher_model.predict(split.dev))[task.metric]

    def learn(batch: Batch) -> Tensor:
        *below, last = model.backbone.reads(batch)
        teacher_batch = teacher_model.collate([encoded[row] for row in batch.numbers])
        *teacher_below, top = teacher_model.backbone.reads(teacher_batch)
        scores = distil.head_scores(model, last)
        targets = distil.said(teacher_model, distil.head_scores(teacher_model, top))
        soft = distil.soft_loss(model, scores, targets, temperature, distance)
        loss = alpha * distil.hard_loss(task, scores, batch.labels) + (1 - alpha) * soft
        if not beta:
            return loss
        patience = patient_mse(torch.stack(below), torch.stack(teacher_below)[layers])
        return loss + beta * patience

    def loss(batch: Batch) -> Tensor:
        before = None if pilot else learn(batch)
        meta.update(lambda: learn(batch), lambda: model.loss(next(quizzes)))
        meta.score(teacher_score, protocol)
        return learn(batch) if before is None else before

    with (
        focus_on(model, kit.protocol, split.train, split.dev),
        focus_on(teacher_model, kit.protocol, split.train, split.dev),
    ):
        steps = protocol.max_steps
        meta = MetaTeacher(teacher_model, model, lr=teacher_lr, inner_lr=lr, steps=steps)
        kit.with_split(lessons).train(
            model,
            lr=lr,
            batch_size=batch_size,
            loss=loss,
            whole_vocabulary=True,
            carries=[meta, quizzes],
        )
    kit.notes["teacher_curve"] = meta.curve()
    asked = [example.id for example in quiz_examples]
    kit.notes["quiz"] = {"examples": asked, **meta.quiz_losses()}
    return model if returns == "student" else teacher_model.requires_grad_(True)


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a temperature of 0, a quiz of none or all, and with beta models of two widths."""
    distil.check_temperature(settings["temperature"])
    check_quiz(settings["quiz"])
    if settings["beta"]:
        distil.check_widths(student, teacher)
        distil.check_layers(student, teacher)
