"""AMuLaP: many label words per class, found from the model's own probabilities at the mask.

thesis, sections 6.3 and 6.4.1, on the training examples: a token goes to the class whose examples
give it the largest mean probability (without `dedup`, to every class), each class keeps its k
likeliest, and their probabilities are added up (equation 6.2). One forward pass serves every k.
Setting 1 trains nothing and tunes k on train, setting 2 tunes it on dev, both over 1, 2, 4, …,
1024; setting 3 fine-tunes (equation 6.3) and searches k over 1, 2, 4, 8, 16 with the protocol's
grid. Of equal k the largest wins. `random` draws the words instead (Table 6.4). `z="auto-l"` puts
the dev scores of Auto-L's tuned assignments in the place of the mean probabilities (section 6.4.2).

Departs from the paper: tokens that the tokenizer does not name are never label words. For
classification only.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fewbench.errors import BenchError
from fewbench.nn.assignments import tuned_assignments
from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext
from fewbench.nn.label_search import (
    best_k,
    class_means,
    cut,
    random_words,
    rank_assigned,
    rank_words,
    scores_by_k,
)
from fewbench.nn.many_words import ManyWordsModel
from fewbench.types import Count, Positive, Predictor, Split, Task

PAPER = "Wang, Xu and McAuley, 2022 (AMuLaP); thesis, chapter 6"
NEEDS = ("student", "template")
BACKBONES = ("masked", "causal", "encoder-decoder")
KINDS = ("single", "pair", "choice")
SEARCH = ("k", "lr", "batch_size")
SEARCH_IF = {"setting": 3}
GRID = {"k": (16, 8, 4, 2, 1)}
PRESETS = {
    "setting-1": {"setting": 1},
    "setting-3": {"setting": 3},
    "no-dedup": {"dedup": False},
    "one-word": {"k": 1},
    "random": {"random": True},
    "random-one-word": {"random": True, "k": 1},
    "ft-no-dedup": {"setting": 3, "dedup": False},
    "ft-one-word": {"setting": 3, "k": 1},
    "ft-random": {"setting": 3, "random": True},
    "ft-random-one-word": {"setting": 3, "random": True, "k": 1},
    "auto-l": {"z": "auto-l"},
    "ft-auto-l": {"setting": 3, "z": "auto-l"},
}
KS = tuple(2**power for power in range(11))


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse the search of Auto-L, which reads dev, where dev is not to be read or not used."""
    if settings["z"] != "auto-l":
        return
    if settings["setting"] == 1 or settings["random"]:
        raise BenchError(
            "amulap:z=auto-l reads dev, and takes its words from there",
            allowed="setting 2 or 3, without random",
            fix="amulap:auto-l, or amulap:ft-auto-l",
        )


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    setting: Literal[1, 2, 3] = 2,
    k: Count | None = None,
    dedup: bool = True,
    random: bool = False,
    z: Literal["probabilities", "auto-l"] = "probabilities",
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Rank the vocabulary for each class, choose k unless it is set, and train in setting 3."""
    model = ManyWordsModel(kit.backbone("student"), task)
    probabilities = model.distributions(split.train)
    vocabulary, classes = probabilities.shape[1], len(task.labels)
    if random:
        ranking = random_words(vocabulary, classes, np.random.default_rng(kit.seed))
    elif z == "auto-l":
        words, reached = zip(*tuned_assignments(task, split, kit), strict=True)
        ranking = rank_assigned(words, reached, vocabulary, dedup=dedup)
    else:
        labels = [int(example.label) for example in split.train if example.label is not None]
        ranking = rank_words(class_means(probabilities, labels, classes), dedup=dedup)
    if k is None:
        examples = split.train
        if setting != 1:
            examples = split.dev
            probabilities = model.distributions(examples)
        scores = scores_by_k(task, probabilities, examples, ranking, KS)
        k = best_k(KS, scores)
        kit.notes["k_scores"] = [[k, round(score, 6)] for k, score in zip(KS, scores, strict=True)]
    kit.notes["k"] = k
    model.use(cut(ranking, k))
    if setting == 3:
        kit.train(model, lr=lr, batch_size=batch_size, whole_vocabulary=True, carries=())
    return model
