"""Prompt-KD on paraphrases too: the teacher's answers to each text and to ten paraphrases of it.

L = L_MLM(X) + L_ce(X and X_bt): smash, section 4.1, baseline (6) "distill bt10", whose paraphrases
are made by back-translation and carry no label. L_ce is eq. 1 with temperature 1, over the label
words: the mean over a batch's texts and all their paraphrases. The teacher is prompt-tuned, as in
`prompt-kd`.

Paraphrases come from the file that `paraphrases` names, of JSON lines `{"text": "…",
"paraphrases": ["…", …]}`, for any number of tasks: a text is looked up as it stands. Of a pair, the
n-th paraphrase is the n-th of each text. A text without any stays alone, and the record counts
them. The weight of L_ce, of which the paper says nothing, is 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.distil import hard_loss, word_targets
from fewbench.nn.fit_context import FitContext
from fewbench.nn.long_words import words_model
from fewbench.nn.losses import soft_cross_entropy
from fewbench.registry.named_inputs import NamedInput
from fewbench.types import Count, DataFile, Positive, Predictor, Split, Task

from .paraphrases import paraphrased, read_paraphrases

PAPER = 'smash, section 4.1, "distill bt10"; Sennrich, Haddow and Birch, 2016'
NEEDS = ("student", "teacher", "words", "long-words")
KINDS = ("single", "pair", "regression")
SEARCH = ("lr", "batch_size")


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    paraphrases: DataFile | None = None,
    copies: Count = 10,
    teacher: str = "prompt-ft",
    lr: Positive = 1e-5,
    batch_size: Count = 4,
) -> Predictor:
    """Train on labels and on the teacher's answers; these are computed once.

    Raises:
        BenchError: the file has no paraphrase of any training text.
    """
    texts = read_paraphrases(_named(paraphrases))
    groups = [paraphrased(example, texts, copies) for example in split.train]
    if not any(groups):
        problem = f"no training text of {task.full_name} has a paraphrase in this file"
        raise BenchError(problem, where=str(paraphrases))
    kit.notes["paraphrases"] = sum(map(len, groups))
    kit.notes["without_paraphrase"] = sum(not group for group in groups)
    model = words_model(kit.backbone("student"), task)
    sources = [
        [row.without_label(), *group] for row, group in zip(split.train, groups, strict=True)
    ]
    encoded = [model.encode(group) for group in sources]
    answers = [word_targets(kit.teacher(), group) for group in sources]

    def loss(batch: Batch) -> Tensor:
        rows = batch.numbers
        own = [encoded[row][0]._replace(label=split.train[row].label) for row in rows]
        others = [copy for row in rows for copy in encoded[row][1:]]
        wanted = [answers[row][:1] for row in rows] + [answers[row][1:] for row in rows]
        scores = model(model.collate([*own, *others]))
        hard = hard_loss(task, scores[: len(rows)], batch.labels)
        return hard + soft_cross_entropy(scores, torch.cat(wanted))

    # Paraphrases have words that no training text has, and their embeddings are trained too.
    kit.train(model, lr=lr, batch_size=batch_size, loss=loss, whole_vocabulary=True, carries=())
    return model


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a run without a file of paraphrases, or with one that cannot be read."""
    read_paraphrases(_named(settings["paraphrases"]))


def _named(paraphrases: DataFile | None) -> NamedInput:
    if not isinstance(paraphrases, NamedInput):
        raise BenchError(
            "this method needs a file of paraphrases",
            allowed='JSON lines {"text": "…", "paraphrases": ["…", …]}',
            fix="--methods prompt-kd-bt:paraphrases=FILE",
        )
    return paraphrases
