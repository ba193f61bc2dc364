"""Likeliest answers of a probed model to some facts, with their probabilities: thesis Table 7.5.

Axes: S texts, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from fewbench.measure.fact_probe import ProbeResult, mask_scores


class FactAnswer(NamedTuple):
    """A token that a model puts in the place of a fact's object, and its probability there."""

    token: str
    probability: float
    is_right: bool


def drawn_facts(results: Sequence[ProbeResult], count: int, seed: int = 0) -> list[int]:
    """Draw facts that all models were scored on, of different texts; return their numbers.

    Args:
        results: of the same facts, one for each model.
        count: how many, or as many as there are.
        seed: of the draw.
    """
    scored = np.flatnonzero(np.logical_and.reduce([result.ranks > 0 for result in results]))
    text_of = results[0].questions.text_of
    texts: dict[int, int] = {}
    for fact in np.random.default_rng(seed).permutation(scored).tolist():
        texts.setdefault(int(text_of[fact]), fact)
    return list(texts.values())[:count]


@torch.no_grad()
def likeliest(
    model: nn.Module, tokenizer: Any, result: ProbeResult, facts: Sequence[int], count: int
) -> list[list[FactAnswer]]:
    """Return a model's likeliest tokens for some facts, the likeliest first.

    Probabilities are over the tokenizer's tokens, those that facts are ranked among.

    Args:
        model: the model that was probed.
        tokenizer: its tokenizer.
        result: of its probe.
        facts: their numbers.
        count: answers to each.
    """
    questions = result.questions
    texts = [questions.texts[questions.text_of[fact]] for fact in facts]
    device = next(model.parameters()).device
    shares = mask_scores(model, texts, questions.size, device).float().softmax(-1)
    best = shares.topk(min(count, questions.size), dim=-1)
    found = []
    for fact, ids, values in zip(facts, best.indices.tolist(), best.values.tolist(), strict=True):
        right = int(questions.tokens[fact])
        tokens = tokenizer.convert_ids_to_tokens(ids)
        rows = zip(tokens, values, (token == right for token in ids), strict=True)
        found.append([FactAnswer(*row) for row in rows])
    return found
