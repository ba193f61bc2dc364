"""The head that a task's format needs, on a backbone."""

from __future__ import annotations

from fewbench.nn.backbone import Backbone
from fewbench.nn.classifier import HeadModel
from fewbench.nn.span_model import SpanModel
from fewbench.nn.task_model import TaskModel
from fewbench.types import Task


def head_model(backbone: Backbone, task: Task) -> TaskModel:
    """Return a model with a new head: of classes, a value, or an answer's first and last token."""
    return SpanModel(backbone, task) if task.format == "span" else HeadModel(backbone, task)
