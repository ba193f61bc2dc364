"""Options that a row lacks: C3 has questions of two, three and four options, and its tasks have
four classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.types import Example, Predictions


def only_present(examples: Sequence[Example], predictions: Predictions) -> Predictions:
    """Return predictions in which an option that a row lacks has probability 0, and those it has
    add up to 1.

    Whatever a method answers for an empty option (the score of an unused letter, or of an empty
    sequence), nobody can choose it. Where a row's whole probability went to options it lacks, those
    it has share it equally. Predictions for rows that lack none are returned as they are.
    """
    import numpy as np  # here, so that listing commands start without it

    if predictions.probabilities is None or all(all(example.options) for example in examples):
        return predictions
    present = np.array([[bool(option) for option in example.options] for example in examples])
    kept = np.where(present, predictions.probabilities, 0)
    lost = kept.sum(axis=1) == 0
    kept[lost] = present[lost]
    lacking = ~present.all(axis=1)
    kept[lacking] /= kept[lacking].sum(axis=1, keepdims=True)
    return Predictions(predictions.ids, probabilities=kept.astype(np.float32))
