"""Prompt tuning: train vectors before the input, by the label words at the mask of a frozen model.

Lester et al., 2021, as in ppt, sections 2 and 3.1, equation 2: 100 soft tokens, separate learning
rates (appendix C.2). Vanilla prompt tuning reads the texts, options and mask alone, in the
order of the task's template (Table 1, hard prompt "None"); hybrid reads the whole template, as does
the unified view, for its options stand there (Table 5, "PT (MC)"). Probabilities in the loss are
over the label words; the preset `paper` has them over the vocabulary, as equation 2 and the paper's
code do. The other presets are Table 2's starts from real words, and the one of the paper's code.

Departs from the paper: the random start has the mean and deviation of the model's word embeddings,
where the paper gives no numbers; Table 2's Top-1000 is left out. AdamW takes the place of Adam.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from fewbench.data.template import without_words
from fewbench.data.unified import UNIFIED
from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext
from fewbench.nn.soft_prompt import SoftPromptModel, behind, initial_prompt
from fewbench.types import Count, Positive, Predictor, Split, Task

PAPER = "Lester, Al-Rfou and Constant, 2021; ppt, sections 2 and 3.1"
NEEDS = ("student", "words")
BACKBONES = ("masked", "encoder-decoder")
SEARCH = ("prompt_lr", "batch_size")
GRID = {"prompt_lr": (5e-3, 1e-2, 2e-2, 5e-2)}
PRESETS = {
    "paper": {"over": "vocabulary"},
    "hybrid": {"hybrid": True},
    "mask-start": {"start": "mask"},
    "label-start": {"start": "label"},
    "vocabulary-start": {"start": "vocabulary"},
    "task-start": {"start": "task"},
}


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse more soft tokens than the model holds."""
    behind(student, task, settings["tokens"])


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    tokens: Count = 100,
    hybrid: bool = False,
    start: Literal["normal", "mask", "label", "vocabulary", "task"] = "normal",
    over: Literal["words", "vocabulary"] = "words",
    prompt_lr: Positive = 1e-2,
    batch_size: Count = 16,
) -> Predictor:
    """Make a soft prompt and train it alone by the protocol."""
    backbone = kit.backbone("student")
    prompt = initial_prompt(backbone, task, split.train, tokens, start, kit.seed)
    is_whole = hybrid or task.prompt == UNIFIED
    read = task if is_whole else replace(task, template=without_words(task.template))
    model = SoftPromptModel(backbone, read, prompt, over)
    # No word's embedding is trained, so the embeddings need not be cut to the words in use.
    kit.train(model, lr=prompt_lr, batch_size=batch_size, whole_vocabulary=True, carries=())
    return model
