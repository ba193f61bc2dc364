"""Handle rows with fewer options than classes, as in C3: two to four options, four classes."""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.types import Example, Predictions


def only_present(examples: Sequence[Example], predictions: Predictions) -> Predictions:
    """Set the probabilities of missing options to 0 and rescale each row's others to a sum of 1.

    A method may give probability to an empty option (an unused letter, or an empty sequence), but
    nobody can choose it. If all of a row's probability went to missing options, the present ones
    share it equally. Rows without missing options stay unchanged.
    """
    import numpy as np  # here, so that listing commands start without it

    if predictions.probabilities is None or all(all(example.options) for example in examples):
        return predictions
    present = np.array([[*map(bool, example.options)] for example in examples])
    probabilities = np.where(present, predictions.probabilities, 0)
    all_zero = probabilities.sum(axis=1) == 0
    probabilities[all_zero] = present[all_zero]
    incomplete = ~present.all(axis=1)
    probabilities[incomplete] /= probabilities[incomplete].sum(axis=1, keepdims=True)
    return Predictions(predictions.ids, probabilities=probabilities.astype(np.float32))
