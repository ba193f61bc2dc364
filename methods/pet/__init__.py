"""PET: models of several patterns label texts without labels, and a classifier learns from them.

Schick and Schütze, 2021, section 3: for each pattern, `repetitions` models are trained by prompt
on (1 - alpha) L_CE + alpha L_MLM, where L_MLM masks words of unlabelled texts in that pattern. The
mean of their logits, weighted by their accuracy on train before training, is what a model with a
head learns of the pool, both softened by `temperature` (T^2 KL, as in its code). `ipet` adds its
generations: each model is trained again from the start, on train sets `growth` times larger each
time, which a quarter of the other models has labelled.

A pattern is a prompt of the task's; those with the template of another are left out. Departs from
the paper: learning rate and batch size are searched, checkpoints are those of the best dev score,
a class of which the pool holds too few is not drawn twice, and the pool has `pool` texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import FitContext
from fewbench.nn.long_words import words_model
from fewbench.nn.losses import distillation_kl
from fewbench.types import Count, Example, Positive, Predictor, Share, Split, Task

from .ensemble import Opinion, combined, next_train, patterns, train_one

if TYPE_CHECKING:
    from fewbench.types import SplitSizes

PAPER = "Schick and Schütze, 2021 (PET, iPET)"
NEEDS = ("student", "words", "long-words", "prompts", "unlabeled")
KINDS = ("single", "pair", "choice")
SEARCH = ("lr", "batch_size")
PRESETS = {"ipet": {"generations": 3}, "no-lm": {"alpha": 0.0}}
ANNOTATORS = 0.25
"""The share of the other models that labels a train set of iPET's."""


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    generations: Count = 1,
    growth: Count = 5,
    repetitions: Count = 3,
    pool: Count = 1000,
    alpha: Share = 1e-4,
    temperature: Positive = 2.0,
    lr: Positive = 1e-5,
    batch_size: Count = 4,
) -> Predictor:
    """Train the models of all patterns and generations, then the classifier."""
    texts = draw(split, pool)
    models = patterns(task) * repetitions
    trains: Sequence[Sequence[Example]] = [split.train] * len(models)
    rng = np.random.default_rng(split.seed)
    opinions: list[Opinion] = []
    for generation in range(generations):
        if generation:
            size = len(split.train) * growth**generation
            trains = [
                next_train(split.train, texts, others, size, ANNOTATORS, rng)
                for others in _others(opinions)
            ]
        opinions = []
        for number, (read, train) in enumerate(zip(models, trains, strict=True)):
            own = kit.with_split(replace(split, train=tuple(train)))
            own.seed = kit.seed + number
            opinions.append(
                train_one(read, split, texts, own, alpha=alpha, lr=lr, batch_size=batch_size)
            )
    targets = combined(opinions)
    model = HeadModel(kit.backbone("student"), task)

    def loss(batch: Batch) -> Tensor:
        return distillation_kl(model(batch), targets[batch.rows], temperature)

    taught = kit.with_split(replace(split, train=tuple(texts)))
    taught.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=())
    kit.notes["patterns"] = [read.prompt or "own" for read in patterns(task)]
    kit.notes["weights"] = [round(opinion.weight, 6) for opinion in opinions]
    return model


def draw(split: Split, count: int) -> list[Example]:
    """Draw texts of the unlabelled pool, each once; all where it has no more than `count`.

    Raises:
        BenchError: the split leaves none over.
    """
    if not split.unlabeled:
        raise BenchError(
            f"{split.task} leaves no texts over for a pool without labels", fix="a smaller --k"
        )
    rows = np.random.default_rng(split.seed).permutation(len(split.unlabeled))[:count]
    return [split.unlabeled[row] for row in rows]


def _others(opinions: Sequence[Opinion]) -> Iterator[list[Opinion]]:
    """Yield for each model the opinions of the others; its own where there are none."""
    for number in range(len(opinions)):
        others = [*opinions[:number], *opinions[number + 1 :]]
        yield others or list(opinions)


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse a pattern whose label words the model cannot say."""
    for read in patterns(task):
        words_model(student, read)


def check_split(sizes: SplitSizes, **settings: Any) -> None:
    """Refuse a split that leaves no unlabelled texts over, as full data does."""
    if not sizes.unlabeled:
        raise BenchError("the split leaves no unlabelled texts over", fix="a smaller --k")
