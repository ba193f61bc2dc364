"""Prompt the pretrained model without any training: label words at the mask of the manual template.

smash, section 3.1 and the zero-shot rows of its Table 2.
"""

from __future__ import annotations

from fewbench.nn.fit_context import FitContext
from fewbench.nn.kinds import prompt_model
from fewbench.types import Predictor, Split, Task

PAPER = "Gao, Fisch and Chen, 2021 (LM-BFF); smash, Table 2, zero-shot rows"
NEEDS = ("student", "words")
BACKBONES = ("masked", "encoder-decoder")


def fit(task: Task, split: Split, kit: FitContext) -> Predictor:
    """Return the prompted model without looking at any example."""
    return prompt_model(kit.backbone("student"), task)
