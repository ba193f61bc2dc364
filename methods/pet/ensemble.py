"""The models of PET, one for each pattern and repetition, and what they make of unlabelled texts.

Axes: M models, n examples, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewbench.data.metrics import score
from fewbench.data.task_prompts import with_prompt
from fewbench.data.unified import UNIFIED
from fewbench.nn.batch import Batch
from fewbench.nn.distil import BatchStream, logits
from fewbench.nn.fit_context import FitContext
from fewbench.nn.long_words import words_model
from fewbench.nn.masking import mask_words
from fewbench.nn.prompt import PromptModel
from fewbench.types import Example, Split, Task


class Opinion(NamedTuple):
    """The logits [n, C] that one model gives the pool, and its weight."""

    scores: Tensor
    weight: float


def patterns(task: Task) -> list[Task]:
    """Return the task with each of its prompts, of those with one template the first alone.

    The unified view, another form of the task, is left out.
    """
    tasks = [task]
    for prompt in task.prompts:
        if prompt.name != UNIFIED and prompt.template not in {each.template for each in tasks}:
            tasks.append(with_prompt(task, prompt.name))
    return tasks


def train_one(
    task: Task,
    split: Split,
    pool: Sequence[Example],
    kit: FitContext,
    *,
    alpha: float,
    lr: float,
    batch_size: int,
) -> Opinion:
    """Train the model of a pattern on (1 - alpha) L_CE + alpha L_MLM, and ask it about the pool.

    Its weight is its accuracy on train before training.
    """
    model = words_model(kit.backbone("student"), task)
    labels = [example.label for example in split.train if example.label is not None]
    weight = score(replace(task, metric="accuracy"), labels, model.predict(split.train))["accuracy"]
    stream = BatchStream(model, pool, batch_size, kit.seed)

    def loss(batch: Batch) -> Tensor:
        return (1 - alpha) * model.loss(batch) + alpha * masked_loss(model, next(stream))

    if alpha:
        # Words that stand in for masked ones may be any.
        kit.train(
            model,
            lr=lr,
            batch_size=batch_size,
            loss=loss,
            whole_vocabulary=True,
            carries=[stream],
        )
    else:
        kit.train(model, lr=lr, batch_size=batch_size, carries=())
    return Opinion(logits(model, pool), weight)


def masked_loss(model: PromptModel, batch: Batch) -> Tensor:
    """Return the loss on masked words of a batch of prompts; the prompt's own mask is not asked."""
    backbone = model.backbone
    masked, places, answers = mask_words(batch, backbone.tokenizer)
    states = backbone.hidden_states(masked)[-1][places]
    return F.cross_entropy(backbone.vocabulary_scores_of(states), answers)


def combined(opinions: Sequence[Opinion]) -> Tensor:
    """Return sum_m w_m s_m / sum_m w_m, [n, C]; models that are all wrong count alike."""
    weights = torch.tensor([opinion.weight for opinion in opinions])
    if not weights.any():
        weights = torch.ones_like(weights)
    weights = (weights / weights.sum()).to(opinions[0].scores)
    return torch.stack([opinion.scores for opinion in opinions], -1) @ weights


def next_train(
    train: Sequence[Example],
    pool: Sequence[Example],
    opinions: Sequence[Opinion],
    size: int,
    share: float,
    rng: np.random.Generator,
) -> list[Example]:
    """Return train and examples of the pool that other models have labelled: iPET.

    A random share of the other models labels the pool, one at least. Of each class as many are
    drawn as make `size` examples with the classes' shares in train, the surer ones more often; a
    class with fewer in the pool has all of them.

    Args:
        train: the labelled examples.
        pool: the unlabelled ones.
        opinions: of the other models.
        size: of the new train set.
        share: of the other models.
        rng: draws.
    """
    count = max(1, round(share * len(opinions)))
    chosen = [opinions[row] for row in rng.choice(len(opinions), count, replace=False)]
    shares = combined(chosen).double().softmax(-1).cpu().numpy()
    guess, sure = shares.argmax(1), shares.max(1)
    labels = [example.label for example in train]
    new = []
    for label in range(shares.shape[1]):
        rows = np.flatnonzero(guess == label)
        if not len(rows):
            continue
        wanted = int(labels.count(label) * (size - len(train)) / len(train))
        weights = sure[rows] / sure[rows].sum()
        for row in rng.choice(rows, min(wanted, len(rows)), replace=False, p=weights):
            new.append(replace(pool[row], label=label))
    return [*train, *new]
