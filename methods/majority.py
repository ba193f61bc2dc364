"""Answer the class shares of train (its mean for regression), whatever the input.

The floor of every table. A balanced K-shot train has equal shares, so its arg-max is the first
class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewbench.nn.fit_context import FitContext
from fewbench.types import Example, Predictions, Predictor, Split, Task

PAPER = "none: a baseline"
NEEDS = ()


class Constant:
    """Predicts the same row for each example: probabilities [C], or one value."""

    def __init__(self, row: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        self.row = row

    def predict(self, examples: Sequence[Example]) -> Predictions:
        """Return the row for each example."""
        array = np.repeat(self.row[None], len(examples), axis=0)
        ids = tuple(example.id for example in examples)
        if self.row.ndim:
            return Predictions(ids, probabilities=array)
        return Predictions(ids, values=array)


def fit(task: Task, split: Split, kit: FitContext) -> Predictor:
    """Count the training labels."""
    labels = np.array([example.label for example in split.train])
    if task.is_regression:
        return Constant(np.array(labels.mean(), dtype=np.float32))
    shares = np.bincount(labels, minlength=len(task.labels)) / len(labels)
    return Constant(shares.astype(np.float32))
