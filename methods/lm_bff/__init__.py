"""LM-BFF: prompt-based fine-tuning with demonstrations, one example of each class after the input.

Gao, Fisch and Chen, 2021, section 6. Each demonstration is a training example in the template with
its label word in the place of the mask, drawn among the half of its class that is nearest to the
input. Each visit to a training example draws anew, never the example itself; a prediction is the
mean of the class scores over 16 draws. Loss and search are those of `prompt-ft`.

The distance between texts is the cosine of mean states: by the encoder that `encoder` names, such
as the paper's Sentence-BERT; without it, by the pretrained student's own, which departs from the
paper. An input and its demonstrations have twice the task's maximum
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
from fewbench.registry.named_inputs import NamedInput
from fewbench.types import Count, ModelName, Positive, Predictor, Split, Task

from .demonstrations import DemonstratedModel, check_room, demonstrate
from .sentences import check_encoder

PAPER = "Gao, Fisch and Chen, 2021 (LM-BFF), section 6"
NEEDS = ("student", "words")
KINDS = ("single", "pair", "regression")
SEARCH = ("lr", "batch_size")
DRAWS = 16
"""Sets of demonstrations that a prediction is the mean over, unless it is set."""


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse a task whose demonstrations do not fit beside an input."""
    check_room(student, task)
    if isinstance(settings["encoder"], NamedInput):
        check_encoder(settings["encoder"])


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    draws: Count | None = None,
    encoder: ModelName | None = None,
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
    named = encoder.parts if isinstance(encoder, NamedInput) else None
    model = DemonstratedModel(backbone, task, found, draws=count, seed=kit.seed, encoder=named)
    model.remember(split.train)
    inputs = model.prompt.encode(split.train)
    nearer = model.nearer(model.sentences_of(split.train), rows=range(len(inputs)))

    def loss(batch: Batch) -> Tensor:
        drawn = [model.with_one_draw(inputs[row], nearer[row]) for row in batch.numbers]
        return model.loss(model.collate(drawn))

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=())
    return model
