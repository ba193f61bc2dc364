"""Label sentences of a corpus for the pre-training on single texts: ppt, section 3.2.3.

`reviews` trains an annotator as the paper does, on reviews of five stars (rows of another task, by
a model of its own). `itself` asks the frozen backbone by a hard prompt, where there are no reviews.

Axes: n sentences, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import PrepareContext
from fewbench.nn.labelled_context import LabelledContext
from fewbench.nn.long_words import words_model
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example, Task

from .formats import ASKED

LABELLED_AT_ONCE = 512
SUREST = 0.5
SURE = (0.95, 0.5, 0.5, 0.5, 0.7)
"""The probability that a label, one to five stars, must have more of: the paper's code."""
PATIENCE = 40
"""Batches of sentences in a row of which none may be kept."""
TUNING_RATE = 2e-5
"""The annotator's learning rate, which the paper does not give."""

Choose = Callable[[Tensor], list[tuple[int, int]]]
"""Returns the rows that are kept and their labels, given probabilities [n, C]."""


class Annotator(NamedTuple):
    """A model that labels sentences, and the rule that says which labels are kept."""

    model: TaskModel
    choose: Choose


def itself(form: Task, backbone: Backbone, *, chinese: bool = False) -> Annotator:
    """Return the untrained backbone with a hard prompt; the surest half of each label is kept."""
    model = words_model(backbone, replace(form, template=ASKED[chinese])).eval()

    def choose(probabilities: Tensor) -> list[tuple[int, int]]:
        return surest(probabilities.clamp(min=1e-30).log(), SUREST)

    return Annotator(model, choose)


def trained(form: Task, world: PrepareContext, *, updates: int, batch_size: int) -> Annotator:
    """Train the teacher's backbone on the labelled rows; sure labels are kept (`SURE`).

    Raises:
        BenchError: the rows are not single texts of as many classes as the form has words.
    """
    assert isinstance(world, LabelledContext)
    check_rows(form, world)
    task, examples = world.labelled()
    model = HeadModel(world.backbone("teacher"), task)
    loss = world.train(model, examples, updates=updates, batch_size=batch_size, lr=TUNING_RATE)
    world.notes["annotator"] = {"updates": updates, "rows": len(examples), "loss": round(loss, 4)}
    return Annotator(model, confident)


def check_rows(form: Task, world: PrepareContext) -> None:
    """Refuse rows that say nothing of the form's words.

    Raises:
        BenchError: they are not single texts of as many classes.
    """
    assert isinstance(world, LabelledContext)
    task = world.rows.task
    if task.format != "single" or len(task.labels) != len(form.words):
        raise BenchError(
            f"the annotator's rows are of {task.full_name}, "
            f"a {task.format} task of {len(task.labels)} classes",
            allowed=f"single texts of {len(form.words)} classes, the worst first",
            fix="--methods ppt:reviews,rows=yelp-review-full",
        )


def confident(probabilities: Tensor) -> list[tuple[int, int]]:
    """Return the rows whose likeliest label is likelier than `SURE` says, and these labels.

    Args:
        probabilities: [n, C].
    """
    best, labels = probabilities.max(-1)
    sure = torch.tensor(SURE)[labels] < best
    return [(row, int(labels[row])) for row in sure.nonzero()[:, 0].tolist()]


def pseudo_labelled(drawn: Iterator[Example], annotator: Annotator) -> Iterator[Example]:
    """Yield single sentences with the labels that a model predicts, some hundred at a time.

    Raises:
        BenchError: none of many sentences is kept.
    """
    idle = 0
    while True:
        batch = list(islice(drawn, LABELLED_AT_ONCE))
        probabilities = torch.from_numpy(annotator.model.predict(batch).array)
        annotator.model.forget()
        kept = annotator.choose(probabilities)
        for row, label in kept:
            yield replace(batch[row], label=label)
        idle = 0 if kept else idle + 1
        if idle == PATIENCE:
            raise BenchError(
                f"the annotator is sure of none of {idle * LABELLED_AT_ONCE} sentences",
                fix="a longer training of it (pretrain_steps), or ppt without 'reviews'",
            )


def surest(scores: Tensor, share: float) -> list[tuple[int, int]]:
    """Return the surest share of each label's rows (at least one) with their labels, in row order.

    A row's label is that of its largest probability after each label's mean over the rows is
    subtracted: a model that prefers one word would give it to all.

    Args:
        scores: [n, C], log-probabilities.
        share: of each label's rows that is kept.
    """
    best, labels = (scores - scores.mean(0)).softmax(-1).max(-1)
    chosen: list[tuple[int, int]] = []
    for label in sorted(set(labels.tolist())):
        rows = (labels == label).nonzero()[:, 0]
        order = best[rows].argsort(descending=True, stable=True)
        count = max(1, int(share * len(rows)))
        chosen += [(row, label) for row in rows[order[:count]].tolist()]
    return sorted(chosen)
