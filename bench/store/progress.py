"""The progress of a run under way: updates, loss and dev score, as numbers that are checked."""

from __future__ import annotations

import math
from typing import NamedTuple

from fewbench.types import Json


class Progress(NamedTuple):
    """The place of a training: its trial, the updates so far, the last loss and dev score.

    Trials count from 1. `steps` are the most updates that the training may take.
    """

    trial: int
    trials: int
    step: int
    steps: int
    loss: float | None = None
    dev: float | None = None

    @property
    def share(self) -> float:
        """The share of the updates of all trials that is done, if each has as many (0 to 1)."""
        done = (self.trial - 1) * self.steps + min(self.step, self.steps)
        return min(1.0, done / max(1, self.trials * self.steps))

    @property
    def title(self) -> str:
        """The progress for people: `trial 2/9, 120/1000, loss 0.4312`."""
        trial = [f"trial {self.trial}/{self.trials}"] if self.trials > 1 else []
        loss = [] if self.loss is None else [f"loss {self.loss:.4f}"]
        return ", ".join([*trial, f"{self.step}/{self.steps}", *loss])


def progress_from(content: object) -> Progress | None:
    """Return the progress that a JSON value tells of; None if it is none. Anybody may write it."""
    if not isinstance(content, dict):
        return None
    counts = [_count(content.get(name)) for name in Progress._fields[:4]]
    trial, trials, step, steps = counts
    if trial is None or trials is None or step is None or steps is None:
        return None
    return Progress(
        trial, trials, step, steps, _number(content.get("loss")), _number(content.get("dev"))
    )


def progress_json(progress: Progress | None) -> Json | None:
    """Return a progress as JSON holds it: numbers that are not finite are left out."""
    if progress is None:
        return None
    finite = progress._replace(loss=_number(progress.loss), dev=_number(progress.dev))
    return finite._asdict()


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if isinstance(value, int) and whole and 0 <= value < 2**53 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
