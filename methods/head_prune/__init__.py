"""A step: remove the 45% of attention heads that matter least to the task's loss.

thesis, sections 4.2 and 4.4. Importance is the expected size of the loss's gradient by a mask on
each head, over the train set, normalised by layer (Michel et al., 2019, eq. 2); the least important
heads of the whole model go at once. Their weights are removed. Every layer keeps at least
one head, so that fewer than the share may go in a model of few heads; the record lists the heads
removed.

Layers that share their weights (ALBERT) keep them: there a head is masked, its output set to 0 in
that layer alone, as Michel et al. do in every model, and nothing is faster.

Departs from Michel et al.: importance is measured on the split's K-shot train part, and once, not
again after each tenth of the heads.
"""

from __future__ import annotations

from typing import Any

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext
from fewbench.nn.prune import has_shared_layers, mask_heads, prune_heads
from fewbench.nn.task_model import TaskModel
from fewbench.types import Share, Split, Task

from .head_importance import head_importance, least_important

PAPER = "Michel, Levy and Neubig, 2019; thesis section 4.4"
NEEDS = ("teacher",)
PIPELINES = ("head-prune+finetune", "head-prune+kd", "head-prune+kd+ptq")


def transform(
    model: TaskModel,
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    share: Share = 0.45,
) -> TaskModel:
    """Remove a share of all heads, rounded to whole heads."""
    importance = head_importance(model, model.encode(split.train))
    total = sum(layer.heads for layer in model.backbone.layers)
    removed = least_important(importance, round(share * total))
    remove = mask_heads if has_shared_layers(model.backbone) else prune_heads
    remove(model.backbone, removed)
    kit.notes["heads_pruned"] = {str(layer): heads for layer, heads in removed.items()}
    left = total - sum(map(len, removed.values()))
    kit.notes["heads"] = {"of": total, "left": left}
    return model


def check(task: Task, student: Backbone | None, teacher: Backbone, **settings: Any) -> None:
    """Refuse a share outside 0 to 1, and a model whose layers cannot be taken apart."""
    teacher.check_layers()
    if not 0 < settings["share"] < 1:
        raise BenchError(
            f"head-prune: share is {settings['share']}", allowed="between 0 and 1", fix="share=0.45"
        )
