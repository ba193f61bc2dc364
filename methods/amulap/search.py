"""Search the vocabulary for label words without gradients: AMuLaP, thesis, section 6.3.2.

Everything is computed from the probabilities at the mask of one forward pass, for every k.

Axes: n examples, C classes, V vocabulary, k words per class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fewbench.data.metrics import score
from fewbench.errors import BenchError
from fewbench.types import Example, Predictions, Task

Probabilities = NDArray[np.floating]
Ranking = list[NDArray[np.intp]]
"""Token ids of each class, the best first."""


def class_means(
    probabilities: Probabilities, labels: Sequence[int], classes: int
) -> NDArray[np.float64]:
    """Return z [C, V], the mean of the distributions [n, V] of each class's examples (step 1)."""
    gold = np.asarray(labels)
    return np.stack(
        [probabilities[gold == label].mean(0, dtype=np.float64) for label in range(classes)]
    )


def rank_words(means: NDArray[np.float64], *, dedup: bool) -> Ranking:
    """Return each class's tokens, the most probable first (steps 2 to 5, before the cut to k).

    With `dedup` a token belongs to the one class where its mean is largest, of equal ones to the
    class listed first; without, to all. Of equal tokens the one of lower id comes first. A class
    where no token is likelier than elsewhere, a case the paper does not mention, keeps its
    likeliest token.
    """
    owner = means.argmax(0)
    orders = [np.argsort(-row, kind="stable") for row in means]
    if not dedup:
        return orders
    ranking = []
    for label, order in enumerate(orders):
        tokens = order[owner[order] == label]
        ranking.append(tokens if len(tokens) else order[:1])
    return ranking


def random_words(vocabulary: int, classes: int, rng: np.random.Generator) -> Ranking:
    """Return a random ranking with no token in two classes: Table 6.4, random M'."""
    order = rng.permutation(vocabulary)
    return [order[label::classes] for label in range(classes)]


def cut(ranking: Ranking, k: int) -> tuple[tuple[int, ...], ...]:
    """Return the first k token ids of each class, or all where there are fewer.

    Raises:
        BenchError: k is below 1.
    """
    if k < 1:
        raise BenchError(f"k is {k}", allowed="1 label word per class, or more")
    return tuple(tuple(order[:k].tolist()) for order in ranking)


def scores_by_k(
    task: Task,
    probabilities: Probabilities,
    examples: Sequence[Example],
    ranking: Ranking,
    ks: Sequence[int],
) -> list[float]:
    """Return the task's headline metric for each k, from distributions [n, V] of labelled examples.

    A class's probability is the sum over its first k tokens (equation 6.2): a running sum along the
    ranking gives it for every k.
    """
    labels = [example.label for example in examples if example.label is not None]
    ids = tuple(example.id for example in examples)
    sums = [probabilities[:, order[: max(ks)]].cumsum(1, dtype=np.float64) for order in ranking]
    scores = []
    for k in ks:
        classes = np.stack([running[:, min(k, running.shape[1]) - 1] for running in sums], 1)
        total = classes.sum(1, keepdims=True).clip(min=np.finfo(float).tiny)
        shares = (classes / total).astype(np.float32)
        predictions = Predictions(ids, probabilities=shares)
        scores.append(score(task, labels, predictions)[task.metric])
    return scores


def best_k(ks: Sequence[int], scores: Sequence[float]) -> int:
    """Return the k of the highest score; of equal scores the largest (section 6.4.1)."""
    return max(zip(scores, ks, strict=True))[1]
