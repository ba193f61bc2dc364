"""Route constrained optimisation: a student follows its teacher's unfinished checkpoints.

Jin et al., 2019. The teacher is fine-tuned, and what it says of train is noted at `anchors` equal
distances of its training (thesis section 5.3.1: four unconverged checkpoints) and at its end. The
student learns from one after the other: its updates are shared out evenly, and each stage goes on
from the weights of the one before. Loss and settings are those of vanilla-kd, by the anchor of the
stage in the teacher's place. Both have one learning rate, unless `teacher_lr` is given.

The route ends at the teacher's last update, not at its best on dev, which may lie before an anchor.

Departs from the paper: one schedule and one choice of the checkpoint on dev over all stages, so
that the student has as many updates as every other method's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.nn.distil import check_temperature, hard_loss, logits, soft_loss
from fewbench.nn.fit_context import FitContext
from fewbench.nn.losses import distillation_kl, logit_mse
from fewbench.types import Count, Example, Positive, Predictor, Share, Split, Task

PAPER = "Jin et al., 2019 (RCO); thesis section 5.3.1"
NEEDS = ("student", "teacher")
SEARCH = ("lr", "batch_size")


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    anchors: Count = 4,
    alpha: Share = 0.5,
    kd: Literal["kl", "logits"] = "kl",
    temperature: Positive = 2.0,
    teacher_lr: Positive | None = None,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Train the teacher, then the student along its route."""
    teacher = HeadModel(kit.backbone("teacher"), task)
    updates = kit.updates(batch_size)
    route = follow(teacher, split, kit, anchors_of(updates, anchors), teacher_lr or lr, batch_size)
    model = HeadModel(kit.backbone("student"), task)
    distance = logit_mse if kd == "logits" else distillation_kl
    counter = Updates()

    def loss(batch: Batch) -> Tensor:
        anchor = route[stage(counter.next(), updates, len(route))]
        scores = model(batch)
        soft = soft_loss(model, scores, anchor[batch.rows], temperature, distance)
        return alpha * hard_loss(task, scores, batch.labels) + (1 - alpha) * soft

    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, carries=[counter])
    kit.notes["anchors"] = len(route)
    return model


class Updates:
    """Counts updates, also over a kill."""

    def __init__(self) -> None:
        self._done = 0

    def next(self) -> int:
        """Return the number of updates before this one, and count it."""
        self._done += 1
        return self._done - 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return the count."""
        return {"done": torch.tensor(self._done)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a count."""
        self._done = int(state["done"])


class Route(Updates):
    """Notes what a teacher in training says of examples, before some of its updates.

    Args:
        teacher: in training.
        examples: those of train.
        anchors: numbers of updates done.
    """

    def __init__(
        self, teacher: HeadModel, examples: Sequence[Example], anchors: Sequence[int]
    ) -> None:
        super().__init__()
        self._teacher, self._examples, self._anchors = teacher, examples, anchors
        self.found: list[Tensor] = []

    def note(self) -> None:
        """Count an update that begins now, and note an anchor if it is one."""
        if self.next() in self._anchors:
            self.found.append(logits(self._teacher, self._examples))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the count and the anchors so far."""
        return super().state_dict() | {
            f"anchor{number}": anchor for number, anchor in enumerate(self.found)
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a count and its anchors."""
        super().load_state_dict(state)
        device = self._teacher.backbone.device
        self.found = [state[f"anchor{n}"].to(device) for n in range(len(state) - 1)]


def anchors_of(updates: int, count: int) -> list[int]:
    """Return the numbers of updates after which `count` anchors are noted, at equal distances."""
    return sorted({number * updates // (count + 1) for number in range(1, count + 1)})


def stage(done: int, updates: int, stages: int) -> int:
    """Return the stage of an update, from 0, where all stages have as many."""
    return min(done * stages // updates, stages - 1)


def follow(
    teacher: HeadModel,
    split: Split,
    kit: FitContext,
    anchors: Sequence[int],
    lr: float,
    batch_size: int,
) -> list[Tensor]:
    """Fine-tune a teacher; return its logits of train at each anchor and at the end, [n, C]."""
    route = Route(teacher, split.train, anchors)

    def loss(batch: Batch) -> Tensor:
        route.note()
        return teacher.loss(batch)

    kit.train(
        teacher,
        lr=lr,
        batch_size=batch_size,
        loss=loss,
        carries=[route],
        keep_last=True,
    )
    return [*route.found, logits(teacher, split.train)]


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a temperature of 0 or below."""
    check_temperature(settings["temperature"])
