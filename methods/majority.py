"""Answer the class shares of the full train set (its mean for regression), whatever the input.

The floor of every table: the majority class "in full training set" (smash, section 4.1), of which
a balanced K-shot train knows nothing. Among equal shares the first label wins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewbench.nn.fit_context import FitContext
from fewbench.types import Example, Predictions, Predictor, Split, Task

PAPER = "smash section 4.1: a baseline"
NEEDS = ("label_counts",)


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
    """Count the labels of all training rows."""
    labels, counts = np.array(split.label_counts).T
    shares = counts / counts.sum()
    if task.is_regression:
        return Constant(np.array(labels @ shares, dtype=np.float32))
    row = np.zeros(len(task.labels), dtype=np.float32)
    row[labels.astype(int)] = shares
    return Constant(row)
