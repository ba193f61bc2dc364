"""Auto-L: one label word per class, searched in the vocabulary for the task's template.

Gao, Fisch and Chen, 2021 (LM-BFF), section 5.1 and appendix C.2. The 100 likeliest words of each
class are combined in every way, the assignments scored on train by the untrained model, and the
best 100 fine-tuned (rate 1e-5, batches of 8) and sorted by dev (`fewbench.nn.assignments`). The
answer is that of the untrained model with the best assignment (thesis, Table 6.2, setting 2), or
with `tune` that of a model fine-tuned by the protocol (setting 3).

Departs from the paper: with more than three classes candidates are so few that a million
assignments are scored (31 words for four classes, 15 for five, 10 for six; the paper takes 30 and,
for trec, the neighbours of manual words), and a protocol of fewer than 1,000 updates tunes fewer
assignments, in proportion. For classification only.
"""

from __future__ import annotations

from fewbench.nn.assignments import tuned_assignments
from fewbench.nn.fit_context import FitContext
from fewbench.nn.many_words import SHOWN, MeanWordsModel
from fewbench.types import Count, Positive, Predictor, Split, Task

PAPER = "Gao, Fisch and Chen, 2021 (LM-BFF), section 5.1"
NEEDS = ("student", "template")
KINDS = ("single", "pair", "choice")
SEARCH = ("lr", "batch_size")
SEARCH_IF = {"tune": True}
PRESETS = {"ft": {"tune": True}}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    tuned: Count | None = None,
    tune: bool = False,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Search the label words on train and dev, and train with the best if asked to."""
    found = tuned_assignments(task, split, kit, tuned=tuned)
    model = MeanWordsModel(kit.backbone("student"), task)
    names = model.backbone.tokenizer.convert_ids_to_tokens
    kit.notes["assignments"] = [
        [*names(list(words)), round(score, 6)] for words, score in found[:SHOWN]
    ]
    kit.notes["assignments_tuned"] = len(found)
    model.use(tuple((token,) for token in found[0].words))
    if tune:
        kit.train(model, lr=lr, batch_size=batch_size, carries=())
    return model
