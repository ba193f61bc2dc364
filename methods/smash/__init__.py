"""Smash: prompt a student that was distilled on an intermediate task, once per format of task.

smash, section 3.2. The intermediate task is pairs of sentences more or less near in a corpus, or
single sentences of which the teacher is sure. The student learns the pretrained teacher's
distribution over the vocabulary at the mask (eq. 2); `hidden` adds 0.01 L_hidn (eq. 3), `attention`
0.01 L_attn (eq. 4). `distilbert` trains on raw text, `rule` on the labels that made the pairs:
section 4.3, settings 1 to 6. Prompt-based fine-tuning follows, or with `zero-shot` nothing.

Departs from the paper: A in eq. 4 is read as attention probabilities. The share `keep` of the
sentences is kept, because the paper gives no bound. Single sentences have no rule: there `rule`
takes the teacher's likeliest word, as PPT does. Schedule and grid are the protocol's.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext, PrepareContext
from fewbench.nn.kinds import prompt_model
from fewbench.types import Count, Natural, Positive, Predictor, Share, Split, Task, Weight

from .data import check_corpus, check_words, examples, learner, passages
from .distill import check_models, learn, lesson, load_weights, weights

PAPER = "Making Small Language Models Better Few-Shot Learners (SMASH); smash"
NEEDS = ("student", "teacher", "words", "corpus")
KINDS = ("single", "pair", "regression")
BACKBONES = ("masked", "encoder-decoder")
PREPARES = {"single": "single", "pair": "pair"}
SEARCH = ("lr", "batch_size")
SEARCH_IF = {"tune": True}
PRESETS = {
    "hidden": {"hidden": 0.01},
    "attention": {"attention": 0.01},
    "distilbert": {"objective": "distilbert", "pretrain_lr": 1e-5},
    "rule": {"objective": "rule", "pretrain_lr": 1e-5},
    "zero-shot": {"tune": False},
}


def prepare(
    kind: str,
    world: PrepareContext,
    *,
    objective: Literal["ce", "distilbert", "rule"] = "ce",
    hidden: Weight = 0.0,
    attention: Weight = 0.0,
    keep: Share = 0.5,
    pretrain_steps: Natural = 200_000,
    pretrain_lr: Positive = 1e-4,
    pretrain_batch: Count = 128,
) -> dict[str, Tensor]:
    """Distil the student on a corpus and return its weights."""
    student = world.backbone("student")
    teacher = world.backbone("teacher").eval().requires_grad_(False)
    model = learner(student, kind)
    count = pretrain_steps * pretrain_batch
    if objective == "distilbert":
        read = passages(world, student, count)
    else:
        read = examples(kind, world, model, teacher, count, keep)
    loss = lesson(objective, model, teacher, hidden, attention)
    learn(
        model,
        read,
        world,
        loss=loss,
        steps=pretrain_steps,
        lr=pretrain_lr,
        batch_size=pretrain_batch,
    )
    return weights(student)


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    tune: bool = True,
    lr: Positive = 1e-5,
    batch_size: Count = 4,
) -> Predictor:
    """Prompt the distilled student, and tune it as prompt-ft does."""
    model = prompt_model(load_weights(kit.backbone("student"), kit.prepared()), task)
    if tune:
        kit.train(model, lr=lr, batch_size=batch_size, carries=())
    return model


def check_prepare(kind: str, world: PrepareContext, **settings: Any) -> None:
    """Refuse a corpus that is too small."""
    check_corpus(kind, world)


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse models without the intermediate task's words, or that cannot be compared."""
    check_words(task.format, student, teacher)
    check_models(student, teacher, **settings)
