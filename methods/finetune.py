"""A step: continue training a model on the labels alone (thesis Table 4.2, "+Finetune").

After `truncate` it is the thesis's "Truncate & Finetune", after `head-prune` its "Head Prune +
Finetune".
"""

from __future__ import annotations

from fewbench.nn.fit_context import FitContext
from fewbench.nn.task_model import TaskModel
from fewbench.types import Count, Positive, Split, Task

PAPER = "Devlin et al., 2019; thesis section 4.4"
NEEDS = ("teacher",)
BACKBONES = ("masked", "causal", "encoder-decoder")
SEARCH = ("lr", "batch_size")


def transform(
    model: TaskModel,
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> TaskModel:
    """Train the model by the protocol."""
    kit.train(model, lr=lr, batch_size=batch_size, carries=())
    return model
