"""Auto-L's search: likely label words, by train answered untuned and by dev once tuned.

Gao, Fisch and Chen, 2021 (LM-BFF), section 5.1 and appendix C.2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from fewbench.nn.fit_context import FitContext
from fewbench.nn.label_search import best_assignments, likeliest, whole_words
from fewbench.nn.many_words import MeanWordsModel
from fewbench.types import Split, Task

WORDS = 100
"""Candidate words of a class."""

TUNED = 100
"""Assignments that are fine-tuned."""

SCORED = 1_000_000
"""Assignments that are scored on train at most: with 100 words, those of three classes."""

LR, BATCH_SIZE = 1e-5, 8
"""The search fine-tunes with these alone."""


class Assignment(NamedTuple):
    """A label word (token id) for each class, and the dev score of the model tuned with them."""

    words: tuple[int, ...]
    score: float


def tuned_assignments(
    task: Task, split: Split, kit: FitContext, *, tuned: int | None = None
) -> list[Assignment]:
    """Search label words for a task's template; return the tuned assignments, best on dev first.

    The likeliest words of each class are combined in every way, and the assignments scored on train
    without training; the best are fine-tuned, each from the same start, and sorted by dev. Of equal
    dev scores the one that was better on train comes first. The trials of a run share one search; a
    run that was killed searches again.

    Args:
        task: gives the template.
        split: gives train and dev.
        kit: gives the model and the protocol.
        tuned: the number of assignments that are fine-tuned; None means 100, in proportion to
            the updates of a protocol that has fewer than 1,000.
    """
    count = tuned or kit.in_proportion(TUNED, BATCH_SIZE)
    return kit.once(f"{count} tuned assignments", lambda: _search(task, split, kit, count))


def candidate_words(classes: int) -> int:
    """Return the number of candidate words of a class, fewer where there are many classes."""
    words = WORDS
    while words > 1 and words**classes > SCORED:
        words -= 1
    return words


def _search(task: Task, split: Split, kit: FitContext, count: int) -> list[Assignment]:
    model = MeanWordsModel(kit.backbone("student"), task)
    probabilities = model.distributions(split.train)
    labels = [int(example.label) for example in split.train if example.label is not None]
    classes = len(task.labels)
    words = whole_words(model.backbone.tokenizer)
    candidates = likeliest(probabilities, labels, classes, words, candidate_words(classes))
    found = []
    with torch.random.fork_rng():  # the first trial searches, and is to draw as the others do
        for words_ in best_assignments(probabilities, labels, candidates, count):
            found.append(Assignment(words_, _tuned_score(task, kit, words_)))
    return sorted(found, key=lambda assignment: -assignment.score)


def _tuned_score(task: Task, kit: FitContext, words: tuple[int, ...]) -> float:
    """Fine-tune with some label words, and return the best dev score."""
    torch.manual_seed(kit.seed)
    model = MeanWordsModel(kit.backbone("student"), task)
    model.use(tuple((token,) for token in words))
    history = kit.train(model, lr=LR, batch_size=BATCH_SIZE, carries=())
    for name in ("best_step", "curve", "losses"):
        del kit.notes[name]  # they are of the model that is returned in the end
    assert history.best_score is not None
    return history.best_score
