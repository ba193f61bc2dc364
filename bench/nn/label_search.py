"""Search the vocabulary for label words without gradients: AMuLaP, PETAL and Auto-L.

thesis, section 6.3.2; Schick et al., 2020; Gao, Fisch and Chen, 2021, section 5.1. Everything is
computed from the probabilities at the mask of one forward pass.

Axes: n examples, C classes, V vocabulary, k words per class.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewbench.data.metrics import score
from fewbench.errors import BenchError
from fewbench.nn.prompt_pieces import tokenise
from fewbench.types import Example, Predictions, Task

Probabilities = NDArray[np.floating]
Ranking = list[NDArray[np.intp]]
"""Token ids of each class, the best first."""

AT_ONCE = 2**16
"""Assignments scored at once: some tens of MiB."""


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


def whole_words(tokenizer: Any, *, letters: int = 0) -> NDArray[np.intp]:
    """List the tokens that are a word by themselves after a space, in the order of their ids.

    Pieces of words, special tokens and unused entries are none: read as text, they come out as
    other tokens.

    Args:
        tokenizer: a fast one.
        letters: how many letters a word must have at least.
    """
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    words = [tokenizer.convert_tokens_to_string([name]).strip() for name in names]
    read = tokenise(tokenizer, [f" {word}" for word in words], goes_on=True)
    found = []
    for token, (word, ids) in enumerate(zip(words, read, strict=True)):
        if ids == [token] and sum(map(str.isalpha, word)) >= letters:
            found.append(token)
    return np.array(found, np.intp)


def likeliest(
    probabilities: Probabilities,
    labels: Sequence[int],
    classes: int,
    words: NDArray[np.intp],
    k: int,
) -> Ranking:
    """Return, of some words, the k likeliest of each class by the mean of log p over its examples.

    Of equal words the one of lower id comes first.

    Args:
        probabilities: at the mask of labelled examples, [n, V].
        labels: their classes, [n].
        classes: how many there are.
        words: token ids in ascending order.
        k: how many of each class are kept.
    """
    means = class_means(logarithms(probabilities[:, words]), labels, classes)
    return [words[np.argsort(-row, kind="stable")[:k]] for row in means]


def logarithms(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return logarithms; of 0, that of the smallest normal number of single precision."""
    tiny = float(np.finfo(np.float32).tiny)
    return np.log(np.maximum(probabilities, tiny, dtype=np.float64))


def best_assignments(
    probabilities: Probabilities, labels: Sequence[int], candidates: Ranking, most: int
) -> list[tuple[int, ...]]:
    """Return the assignments, a word for each class, that answer most of some examples right.

    Every combination of the candidates is scored (Gao, Fisch and Chen, 2021, section 5.1). Of
    equally good ones that with the likelier words comes first: the paper does not say.

    Args:
        probabilities: at the mask of labelled examples, [n, V].
        labels: their classes, [n].
        candidates: token ids of each class.
        most: how many are returned.
    """
    gold = np.asarray(labels)
    scores = [logarithms(probabilities[:, tokens]) for tokens in candidates]
    means = [rows[gold == label].mean(0) for label, rows in enumerate(scores)]
    sizes = tuple(map(len, candidates))
    right = np.empty(prod(sizes), np.int32)
    likelihood = np.empty(prod(sizes))
    for start in range(0, len(right), AT_ONCE):
        flat = np.arange(start, min(start + AT_ONCE, len(right)))
        columns = np.unravel_index(flat, sizes)
        answers = _answers([rows[:, chosen] for rows, chosen in zip(scores, columns, strict=True)])
        right[flat] = (answers == gold[:, None]).sum(0)
        likelihood[flat] = sum(row[chosen] for row, chosen in zip(means, columns, strict=True))
    order = np.lexsort((-likelihood, -right))[:most]
    rows = zip(*np.unravel_index(order, sizes), strict=True)
    return [_pick(candidates, row) for row in rows]


def rank_assigned(
    assignments: Sequence[Sequence[int]], scores: Sequence[float], vocabulary: int, *, dedup: bool
) -> Ranking:
    """Rank the words of scored assignments as AMuLaP ranks tokens, their scores in the place of z.

    A word's score for a class is the best of the assignments in which it stands for the class
    (thesis, section 6.4.2, footnote 2). Words that stand for none are left out.

    Args:
        assignments: a token id for each class.
        scores: of the assignments, such as accuracy on dev.
        vocabulary: the number of tokens.
        dedup: as in `rank_words`.
    """
    best = np.full((len(assignments[0]), vocabulary), -np.inf)
    for words, reached in zip(assignments, scores, strict=True):
        rows = np.arange(len(words))
        best[rows, words] = np.maximum(best[rows, words], reached)
    ranking = rank_words(best, dedup=dedup)
    return [order[np.isfinite(row[order])] for row, order in zip(best, ranking, strict=True)]


def _answers(scores: Sequence[NDArray[np.float64]]) -> NDArray[np.intp]:
    """Return the class of the highest score, the first among equals, for scores C of [n, m]."""
    highest, answers = scores[0], np.zeros(scores[0].shape, np.intp)
    for label, rows in enumerate(scores[1:], 1):
        answers[rows > highest] = label
        highest = np.maximum(highest, rows)
    return answers


def _pick(candidates: Ranking, places: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(tokens[place]) for tokens, place in zip(candidates, places, strict=True))
