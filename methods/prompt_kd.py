"""Prompt-KD: prompt-based fine-tuning on labels and a prompt-tuned teacher's word probabilities.

L = L_MLM + lambda1 L_KD: prompt-distiller, eq. 2 and 3, the baseline "Prompt-KD" of Table 1 (no
unlabelled texts, no contrast). `temperature` is the paper's alpha.

Eq. 3 prints CE(p_T / alpha, p_S) and calls alpha a temperature. Divided after the softmax it would
only weigh the term, as lambda1 does; so p_T / alpha is read as the teacher's distribution softened
at alpha, softmax(log p_T / alpha). The student's p_S is eq. 1's, not softened (`soften=teacher`);
`soften=both` is Hinton's loss, alpha^2 KL with both softened. Regression distils the shares of the
two opposing words.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.distil import check_temperature, hard_loss, word_targets
from fewbench.nn.fit_context import FitContext
from fewbench.nn.long_words import words_model
from fewbench.nn.losses import distillation_kl, soft_cross_entropy
from fewbench.types import Count, Positive, Predictor, Split, Task, Weight

PAPER = "Hou et al., 2023; prompt-distiller, eq. 2-3"
NEEDS = ("student", "teacher", "words", "long-words")
SEARCH = ("temperature", "lambda1", "lr", "batch_size")
STUDY = "top_tokens"
GRID = {"temperature": (10.0, 2.0), "lambda1": (0.2, 1.0)}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "prompt-ft",
    temperature: Positive = 10.0,
    lambda1: Weight = 0.2,
    soften: Literal["teacher", "both"] = "teacher",
    lr: Positive = 1e-5,
    batch_size: Count = 4,
) -> Predictor:
    """Train the student on both losses; the teacher's probabilities are computed once."""
    teacher_targets = word_targets(kit.teacher(), split.train)
    model = words_model(kit.backbone("student"), task)
    distance = soft_cross_entropy if soften == "teacher" else distillation_kl

    def loss(batch: Batch) -> Tensor:
        scores = model(batch)
        soft = distance(scores, teacher_targets[batch.rows], temperature)
        return hard_loss(task, scores, batch.labels) + lambda1 * soft

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=())
    return model


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a temperature of 0 or below."""
    check_temperature(settings["temperature"])
