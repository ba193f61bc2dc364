"""A step: continue training a model on its trained teacher's predictions alone ("Pure KD").

Thesis sections 4.2 and 4.5: KL(teacher || student), eq. 4.2, both softened at a temperature of 10
and multiplied by its square (Hinton et al., 2015). After `truncate` it is Table 4.1's "Pure KD",
after `head-prune` Table 4.2's "+KD". Labels still choose the checkpoint, on dev. The paper has no
regression: there it is the squared error to the teacher's values, scaled to 0..1.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.distil import check_temperature, soft_loss, targets
from fewbench.nn.fit_context import FitContext
from fewbench.nn.task_model import TaskModel
from fewbench.types import Count, Positive, Split, Task

PAPER = "Hinton et al., 2015; thesis sections 4.2 and 4.5"
NEEDS = ("teacher",)
BACKBONES = ("masked", "causal", "encoder-decoder")
SEARCH = ("lr", "batch_size")
PIPELINES = ()


def transform(
    model: TaskModel,
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    temperature: Positive = 10.0,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> TaskModel:
    """Train the model towards its teacher by the protocol."""
    teacher_targets = targets(kit.teacher(), split.train)

    def loss(batch: Batch) -> Tensor:
        return soft_loss(model, model(batch), teacher_targets[batch.rows], temperature)

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=())
    return model


def check(task: Task, student: Backbone | None, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a temperature of 0 or below."""
    check_temperature(settings["temperature"])
