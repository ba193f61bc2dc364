"""Prompt-based fine-tuning: label words at the mask of a manual prompt, all weights are trained.

LM-BFF; smash, section 3.1; prompt-distiller, eq. 1-2. Classification minimises cross-entropy of the
softmax over label words; regression the KL divergence to the interpolation weights of two opposing
words, gold in front (see `fewbench.nn.losses.interpolation_kl`). In an encoder-decoder the mask is
<extra_id_0> and the label word the second generated token (smash, appendix A).
"""

from __future__ import annotations

from fewbench.nn.fit_context import FitContext
from fewbench.nn.long_words import words_model
from fewbench.types import Count, Positive, Predictor, Split, Task

PAPER = "Gao, Fisch and Chen, 2021 (LM-BFF); smash, section 3.1"
NEEDS = ("student", "words", "long-words")
BACKBONES = ("masked", "causal", "encoder-decoder")
SEARCH = ("lr", "batch_size")


def fit(
    task: Task, split: Split, kit: FitContext, *, lr: Positive = 1e-5, batch_size: Count = 8
) -> Predictor:
    """Train the prompted backbone by the protocol."""
    model = words_model(kit.backbone("student"), task)
    kit.train(model, lr=lr, batch_size=batch_size, carries=())
    return model
