"""LM-BFF: prompt-based fine-tuning with demonstrations, one example of each class after the input.

Gao, Fisch and Chen, 2021, section 6. Each demonstration is a training example in the template with
its label word in the place of the mask, drawn among the half of its class that is nearest to the
input. Each visit to a training example draws anew, never the example itself; a prediction is the
mean of the class scores over 16 draws. Loss and search are those of `prompt-ft`.

Departs from the paper: the distance between sentences is the cosine of the pretrained student's own
mean states, not of Sentence-BERT's. An input and its demonstrations have twice the task's maximum
length together, as the paper's code has it for most tasks, or as many tokens as the model reads;
the demonstrations share what the input may not use equally. Regression demonstrates its lower word
by an example up to the middle of its bounds, and the upper word by one above. With 16 draws a
prediction costs about fifty times that of `prompt-ft`; so a protocol of fewer than 1,000 updates
has fewer draws, in proportion, but at least two.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.fit_context import FitContext
from fewbench.types import Count, Positive, Predictor, Split, Task

from .demonstrations import DemonstratedModel, check_room, demonstrate

PAPER = "Gao, Fisch and Chen, 2021 (LM-BFF), section 6"
NEEDS = ("student", "words")
KINDS = ("single", "pair", "regression")
SEARCH = ("lr", "batch_size")
DRAWS = 16
"""Sets of demonstrations that a prediction is the mean over, unless it is set."""


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse a task whose demonstrations do not fit beside an input."""
    check_room(student, task)


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    draws: Count | None = None,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Train on inputs with demonstrations that are drawn at each visit.

    Raises:
        BenchError: a class has no example that fits.
    """
    backbone = kit.backbone("student")
    found = demonstrate(backbone, task, split.train)
    count = draws or kit.in_proportion(DRAWS, batch_size)
    model = DemonstratedModel(backbone, task, found, draws=count, seed=kit.seed)
    model.remember(split.train)
    inputs = model.prompt.encode(split.train)
    nearer = model.nearer(inputs, rows=range(len(inputs)))

    def loss(batch: Batch) -> Tensor:
        rows = batch.rows.tolist()
        drawn = [model.with_one_draw(inputs[row], nearer[row]) for row in rows]
        return model.loss(model.collate(drawn))

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=())
    return model
