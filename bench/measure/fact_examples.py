"""Likeliest answers of a probed model to some facts, with their probabilities: thesis Table 7.5.

Axes: S texts, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from fewbench.measure.fact_probe import ProbeResult, mask_scores
from fewbench.nn.load import Pretrained
from fewbench.types import Json


class FactAnswer(NamedTuple):
    """A token that a model puts in the place of a fact's object, and its probability there."""

    token: str
    probability: float
    is_right: bool


class AskedFact(NamedTuple):
    """A fact as a question, and each model's likeliest answers by the model's name."""

    relation: str
    text: str
    object: str
    answers: dict[str, list[FactAnswer]]

    def to_json(self) -> Json:
        """Return it as JSON, probabilities rounded."""
        answers = {name: [*map(_plain, found)] for name, found in self.answers.items()}
        return {**self._asdict(), "answers": answers}


def _plain(answer: FactAnswer) -> Json:
    return answer._asdict() | {"probability": round(answer.probability, 6)}


def asked_facts(
    models: Mapping[str, Pretrained], results: Mapping[str, ProbeResult], count: int, most: int
) -> list[AskedFact]:
    """Return some facts that all models were scored on, with each model's likeliest answers.

    Args:
        models: by name.
        results: of their probes.
        count: facts.
        most: answers of each model.
    """
    every = list(results.values())
    numbers = drawn_facts(every, count)
    facts = every[0].questions.facts
    texts = list(facts.texts("[MASK]"))
    by_model = {
        name: likeliest(*models[name], result, numbers, most) for name, result in results.items()
    }
    asked = []
    for row, number in enumerate(numbers):
        fact = facts.facts[number]
        answers = {name: found[row] for name, found in by_model.items()}
        asked.append(AskedFact(fact.relation, texts[number], fact.object, answers))
    return asked


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
