"""A last step: quantise weights to int8 and activations dynamically, without training.

The Q8-PTQ of thesis, Table 4.1. The linear layers of every Transformer layer multiply in int8 on a
processor; on other devices the rounding is the same and nothing is faster, and the record says
which it was. Activations have 7 bits (see `fewbench.nn.quantize`).

Departs from Q8BERT: scales are by output of a weight matrix (`per_channel=False`, the preset
`q8bert`, has one a matrix) and by token of an activation, so that an answer depends on its example
alone; embeddings and the task's head stay in floating point.
"""

from __future__ import annotations

from fewbench.nn.fit_context import FitContext
from fewbench.nn.quantize import quantize
from fewbench.nn.task_model import TaskModel
from fewbench.types import Split, Task

PAPER = "Zafrir et al., 2019 (Q8BERT); thesis section 4.4"
NEEDS = ("teacher",)
PRESETS = {"q8bert": {"per_channel": False}}
PIPELINES = ("ptq",)
LAST = True


def transform(
    model: TaskModel,
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    per_channel: bool = True,
) -> TaskModel:
    """Quantise the model's layers to int8."""
    quantize(model.backbone, per_channel)
    device = model.backbone.device
    kit.notes["int8"] = "int8 products"
    if device.type != "cpu":
        kit.notes["int8"] = f"rounded in floating point: no int8 on {device}"
    return model
