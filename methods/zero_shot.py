"""Prompt the pretrained model without any training: label words at the mask of the manual template.

smash, section 3.1 and the zero-shot rows of its Table 2. With `calibration`, what the model answers
to inputs without content is taken out of its answers (`fewbench.nn.calibration`): by contextual
calibration (Zhao et al., 2021), or by pointwise mutual information (Holtzman et al., 2021), whose
domain is the template without texts.
"""

from __future__ import annotations

from typing import Literal

from fewbench.nn.calibration import CalibratedPrompt
from fewbench.nn.fit_context import FitContext
from fewbench.nn.long_words import words_model
from fewbench.types import Predictor, Split, Task

PAPER = "Gao, Fisch and Chen, 2021 (LM-BFF); Zhao et al., 2021; Holtzman et al., 2021"
NEEDS = ("student", "words", "long-words")
BACKBONES = ("masked", "causal", "encoder-decoder")
PRESETS = {"calibrated": {"calibration": "contextual"}, "pmi": {"calibration": "pmi"}}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    calibration: Literal["off", "contextual", "pmi"] = "off",
) -> Predictor:
    """Return the prompted model without looking at any example."""
    backbone = kit.backbone("student")
    if calibration == "off":
        return words_model(backbone, task)
    return CalibratedPrompt(backbone, task, calibration)
