"""BERT-of-Theseus, a step: successors replace layers at random, more and more often.

Xu et al., 2020. Each of the successors, copies of the first layers, stands for a group of the
trained teacher's layers. At every update each one takes its group's place with the rate's chance;
only successors are trained, and dev and test use them alone.

- `linear` (the default): rate min(k t + base, 1) for t updates done. `k=None` reaches 1 at half of
  the protocol's updates, so that the other half fine-tunes the successors together; the reference's
  0.0006 is for 15 epochs of GLUE.
- `constant`: the rate `base` for `replacing_steps` updates (None: half of them), then 1. In the
  reference implementation the default of 0 steps counts as given, and all modules are replaced
  after the first update; 0 is refused here.

With `kd`, the distillation loss takes the place of the cross-entropy inside module replacing
(thesis, section 4.5, "+KD"): KL(predecessor || mixture), eq. 4.2, both softened at a temperature of
10 and multiplied by its square, and no labels; they choose the checkpoint alone. The pipeline
`theseus+kd` is another thing: it distils afterwards, into all weights.

As in the reference implementation, embeddings and head stay the predecessor's. Departs from it: the
protocol's checkpoints and learning rates; groups of unequal size where the layers do not divide.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.distil import check_temperature, soft_loss, targets
from fewbench.nn.fit_context import FitContext
from fewbench.nn.prune import refuse_shared_layers, truncate
from fewbench.nn.serialize import duplicate
from fewbench.nn.task_model import TaskModel
from fewbench.nn.trainer import Loss
from fewbench.types import Count, Positive, Share, Split, Task

from .mixture import (
    Mixture,
    check_count,
    check_schedule,
    replacing,
    replacing_rate,
    train_layers_alone,
)

PAPER = "Xu et al., 2020 (BERT-of-Theseus); thesis sections 4.4 and 4.5"
NEEDS = ("teacher",)
SEARCH = ("lr", "batch_size")
PRESETS = {
    "reference": {"k": 0.0006},
    "constant": {"schedule": "constant", "base": 0.5},
    "kd": {"kd": True},
}
PIPELINES = ("theseus",)


def transform(
    model: TaskModel,
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    lr: Positive = 2e-5,
    batch_size: Count = 32,
    layers: Count | None = None,
    schedule: str = "linear",
    base: Share = 0.3,
    k: float | None = None,
    replacing_steps: Count | None = None,
    kd: bool = False,
    temperature: Positive = 10.0,
) -> TaskModel:
    """Train successors in place of the model's layers, and return the model that they make."""
    half = max(1, kit.updates(batch_size) // 2)
    rate = replacing_rate(schedule, base, k, replacing_steps, half=half)
    old = duplicate(model).requires_grad_(False).backbone.layers
    truncate(model.backbone, range((len(old) + 1) // 2 if layers is None else layers))
    train_layers_alone(model.requires_grad_(False).backbone)

    objective = _distillation(model, split, kit, temperature) if kd else model.loss

    def loss(batch: Batch) -> Tensor:
        value = objective(batch)
        if not value.requires_grad:  # no successor took part
            value.requires_grad_()
        return value

    mixture = Mixture(old, rate, kit.seed)
    with replacing(model.backbone, mixture):
        # The embeddings are frozen; training only those in use would thaw them.
        kit.train(
            model,
            lr=lr,
            batch_size=batch_size,
            loss=loss,
            whole_vocabulary=True,
            carries=[mixture],
        )
    kit.notes["replacing"] = {
        "first_rate": rate(0),
        "last_rate": rate(mixture.passes - 1),
        "updates": mixture.passes,
    }
    return model.requires_grad_(True)


def _distillation(model: TaskModel, split: Split, kit: FitContext, temperature: float) -> Loss:
    """Return T^2 KL(predecessor || mixture) of a batch; in regression, the squared error."""
    teacher_targets = targets(kit.teacher(), split.train)

    def loss(batch: Batch) -> Tensor:
        return soft_loss(model, model(batch), teacher_targets[batch.rows], temperature)

    return loss


def check(task: Task, student: Backbone | None, teacher: Backbone, **settings: Any) -> None:
    """Refuse schedules and sizes out of bounds, and models whose layers share weights."""
    refuse_shared_layers(teacher)
    check_schedule(
        settings["schedule"], settings["base"], settings["k"], settings["replacing_steps"]
    )
    check_count(settings["layers"], teacher)
    check_temperature(settings["temperature"])
