"""Answer with the label whose training texts share the most words with the input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewbench.nn.fit_context import FitContext
from fewbench.types import Example, Predictions, Predictor, Split, Task

PAPER = "none: an example of a plug-in"
NEEDS = ()


class Overlap:
    """Weighs each training example by the words it shares with the input, to the power `sharpness`."""

    def __init__(self, task: Task, train: Sequence[Example], sharpness: float) -> None:
        self.task, self.train, self.sharpness = task, train, sharpness

    def predict(self, examples: Sequence[Example]) -> Predictions:
        """Return class shares, or the weighted mean of training values."""
        ids = tuple(example.id for example in examples)
        weights = np.array([[self._weight(one, other) for other in self.train] for one in examples])
        weights /= weights.sum(axis=1, keepdims=True)
        labels = np.array([example.label for example in self.train])
        if self.task.is_regression:
            return Predictions(ids, values=(weights @ labels).astype(np.float32))
        return Predictions(
            ids, probabilities=(weights @ np.eye(len(self.task.labels))[labels]).astype(np.float32)
        )

    def _weight(self, one: Example, other: Example) -> float:
        first, second = (set(" ".join(e.texts + e.options).lower().split()) for e in (one, other))
        return float((1 + len(first & second)) ** self.sharpness)


def fit(task: Task, split: Split, kit: FitContext, *, sharpness: float = 4.0) -> Predictor:
    """Keep the training examples."""
    return Overlap(task, split.train, sharpness)
