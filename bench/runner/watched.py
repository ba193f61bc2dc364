"""Count the updates of a training from outside, and tell of its last loss and dev score.

No number changes: the loss is computed as before, and looked at now and then between two updates,
for a GPU would be waited for within one.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import torch
from torch import Tensor

from fewbench.nn.batch import Batch
from fewbench.nn.checkpoint import Checkpoints, SavedState
from fewbench.nn.fit_context import FitContext
from fewbench.nn.task_model import TaskModel
from fewbench.nn.trainer import Loss
from fewbench.runner.run_clock import RunClock, Spent
from fewbench.store.artifacts import Artifacts
from fewbench.store.progress import Progress, progress_json
from fewbench.types import Json

EVERY = 0.5
"""Seconds between two losses that are told."""

Tell = Callable[[Progress], None]


class Teller:
    """Writes progress to a pipe, a line each; what the other side is too slow to read is dropped.

    Args:
        number: the pipe's descriptor.
    """

    def __init__(self, number: int) -> None:
        self._number = os.dup(number)
        os.set_blocking(self._number, False)

    def __call__(self, progress: Progress) -> None:
        """Tell."""
        with suppress(OSError):  # a method may have closed it
            os.write(self._number, json.dumps(progress_json(progress)).encode() + b"\n")


class TrainingWatch:
    """Counts the updates of a run's trainings, and tells of them.

    Args:
        tell: is called with the progress, not too often; None for nobody.
        trials: of the run.
    """

    def __init__(self, tell: Tell | None, trials: int) -> None:
        self._tell, self._trials = tell, trials
        self._trial = 1
        self._step = self._steps = 0
        self._loss: Tensor | None = None
        self._dev: float | None = None
        self._told = -math.inf

    def begin_trial(self, number: int) -> None:
        """Count the updates of a trial, by its number from 0."""
        self._trial = number + 1
        self._begin(0)

    def training(self, loss: Loss, steps: int) -> Loss:
        """Return the loss of a training of some updates, whose last value is remembered."""
        self._begin(steps)

        def remembered(batch: Batch) -> Tensor:
            value = loss(batch)
            scalar = isinstance(value, Tensor) and value.numel() == 1
            self._loss = value.detach() if scalar else None
            return value

        return remembered

    def updated(self, step: int) -> None:
        """Note the number of updates done, and tell of it if it is time."""
        self._step = step
        if time.monotonic() - self._told >= EVERY:
            self._say()

    def scored(self, dev: float) -> None:
        """Tell of a dev score."""
        self._dev = dev
        self._say()

    def _begin(self, steps: int) -> None:
        self._step, self._steps = 0, steps
        self._loss = self._dev = None

    def _say(self) -> None:
        if self._tell is None:
            return
        self._told = time.monotonic()
        loss = None if self._loss is None else float(self._loss)
        self._tell(Progress(self._trial, self._trials, self._step, self._steps, loss, self._dev))


class WatchedCheckpoints(Checkpoints):
    """Checkpoints that tell which update a training goes on from, and hold the time so far."""

    def __init__(
        self,
        artifacts: Artifacts,
        key: str,
        device: torch.device,
        every: float,
        watch: TrainingWatch,
        clock: RunClock,
    ) -> None:
        super().__init__(artifacts, key, device, every)
        self._watch, self._clock = watch, clock

    def read(self, name: str) -> SavedState | None:
        """Return a checkpoint; None if there is none that can be used."""
        state = super().read(name)
        if state is None:
            return None
        if "spent" in state.facts:
            self._clock.go_on_from(Spent(*state.facts.pop("spent")))
        if "step" in state.facts:
            self._watch.updated(int(state.facts["step"]))
        return state

    def write(self, name: str, facts: Json, tensors: Mapping[str, Tensor]) -> None:
        """Write a checkpoint; where there is no room for it, the one before stays."""
        super().write(name, {**facts, "spent": list(self._clock.spent())}, tensors)


class WatchedFitContext(FitContext):
    """The context of a method's `fit` whose trainings are watched; `watch` is set by its maker."""

    watch: TrainingWatch

    def _watched(self, model: TaskModel, loss: Loss | None, updates: int) -> Loss:
        return self.watch.training(super()._watched(model, loss, updates), updates)

    def _updated(self, step: int) -> None:
        self.watch.updated(step)

    def _dev_score(self, model: TaskModel) -> float:
        score = super()._dev_score(model)
        self.watch.scored(score)
        return score
