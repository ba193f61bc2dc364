"""A step: keep the first layers of the trained teacher, half of them by default.

thesis, section 4.4.1. The student of Patient KD and of BERT-of-Theseus starts like that too (Sun et
al., 2019; Xu et al., 2020).
"""

from __future__ import annotations

from typing import Any

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext
from fewbench.nn.prune import check_kept, truncate
from fewbench.nn.task_model import TaskModel
from fewbench.types import Count, Split, Task

PAPER = "Sun et al., 2019; thesis section 4.4.1"
NEEDS = ("teacher",)
PIPELINES = ("truncate+finetune", "truncate+kd")


def check(task: Task, student: Backbone | None, teacher: Backbone, **settings: Any) -> None:
    """Refuse to keep more layers than the model has, and a model whose layers cannot be chosen."""
    check_kept(teacher.model, range(_count(teacher, settings["layers"])))


def transform(
    model: TaskModel,
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    layers: Count | None = None,
) -> TaskModel:
    """Leave the first `layers` layers; None means half, rounded up."""
    truncate(model.backbone, range(_count(model.backbone, layers)))
    return model


def _count(backbone: Backbone, layers: int | None) -> int:
    """Return the number of layers to keep.

    Raises:
        BenchError: none, or more than the model has.
    """
    total = int(backbone.config.num_hidden_layers)
    count = (total + 1) // 2 if layers is None else layers
    if not 0 < count <= total:
        raise BenchError(
            f"truncate:layers={count}", allowed=f"1 to {total}, the layers of {backbone.ref.name}"
        )
    return count
