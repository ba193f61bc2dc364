"""PETAL: ten label words per class, by how well each alone says whether an example is of the class.

Schick et al., 2020. For each class, words are scored on the training examples as
answers to "is it of this class?", with the probability p of the word at the mask: by cross-entropy
(`ce`), the sum of log p over the class and of log(1 - p) over the others; or by the likelihood
ratio (`lr`), in which log p - log(1 - p) and its negative take their places. Examples of the class
weigh as much as all others together. Candidates are words of two letters or more after a space, the
1,000 likeliest of the class, and the class's score is the mean of its words' logits, as in PET.
`tune` fine-tunes with these words.

Departs from the paper: one template, and no restriction to words frequent in unlabelled text. For
classification only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fewbench.nn.fit_context import FitContext
from fewbench.nn.label_search import Probabilities, Ranking, cut, likeliest, logarithms, whole_words
from fewbench.nn.many_words import MeanWordsModel
from fewbench.types import Count, Positive, Predictor, Split, Task

PAPER = "Schick et al., 2020 (PETAL)"
NEEDS = ("student", "template")
KINDS = ("single", "pair", "choice")
SEARCH = ("lr", "batch_size")
SEARCH_IF = {"tune": True}
PRESETS = {
    "ce": {"score": "ce"},
    "ft": {"tune": True},
    "ce-ft": {"score": "ce", "tune": True},
}
LETTERS = 2


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    score: Literal["lr", "ce"] = "lr",
    words: Count = 10,
    candidates: Count = 1000,
    tune: bool = False,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Choose the label words on train, and train with them if asked to."""
    model = MeanWordsModel(kit.backbone("student"), task)
    probabilities = model.distributions(split.train)
    labels = [int(example.label) for example in split.train if example.label is not None]
    known = whole_words(model.backbone.tokenizer, letters=LETTERS)
    likely = likeliest(probabilities, labels, len(task.labels), known, candidates)
    model.use(cut(best_words(probabilities, labels, likely, score), words))
    if tune:
        kit.train(model, lr=lr, batch_size=batch_size, carries=())
    return model


def best_words(
    probabilities: Probabilities,
    labels: Sequence[int],
    candidates: Ranking,
    score: Literal["lr", "ce"],
) -> Ranking:
    """Sort each class's candidates by their scores on labelled examples [n, V], the best first.

    Of equal ones the likelier comes first.
    """
    gold = np.asarray(labels)
    ranking = []
    for label, tokens in enumerate(candidates):
        scores = word_scores(probabilities[:, tokens], gold == label, score)
        ranking.append(tokens[np.argsort(-scores, kind="stable")])
    return ranking


def word_scores(
    probabilities: Probabilities, of_class: NDArray[np.bool_], score: Literal["lr", "ce"]
) -> NDArray[np.float64]:
    """Return the score of each word [W] for a class, from probabilities [n, W] at the mask.

    Args:
        probabilities: of the words.
        of_class: true for the class's examples, [n].
        score: the likelihood ratio, or cross-entropy.
    """
    yes = logarithms(probabilities)
    no = logarithms(1 - probabilities.astype(np.float64))
    weight = (~of_class).sum() / of_class.sum()
    if score == "ce":
        gains = np.where(of_class[:, None], weight * yes, no)
    else:
        gains = np.where(of_class[:, None], weight * (yes - no), no - yes)
    total: NDArray[np.float64] = gains.sum(0)
    return total
