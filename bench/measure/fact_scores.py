"""Factual recall from ranks: mean reciprocal rank and precision, by relation, macro and micro. No
torch.

MRR = 1/n sum_i 1/rank_i over the n facts that are scored (thesis, chapter 7). The macro average is
the mean over relations (Figure 7.3), the micro average that over facts (the "Overall" of Table
7.3).

Axes: F facts of a set, n those that are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewbench.data.facts import FactSet

LEFT_OUT = 0
"""The rank of a fact that is not scored."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Figures of one relation, or an average of them.

    Attributes:
        n: the facts scored.
        left_out: those not scored: their object is not one token, or their text does not fit the
            model.
        mrr: the mean reciprocal rank of the objects; None without a fact scored, as the next three
            are.
        p1: the share of objects at rank 1.
        p10: the share within the first 10.
        prior: the MRR of an oracle that never reads a fact: it answers with the objects of the
            relation's own scored facts, the most frequent first. It has seen the answers, so a
            model may well stay below it; a model above it knows more than which objects the
            relation has.
    """

    n: int
    left_out: int
    mrr: float | None
    p1: float | None
    p10: float | None
    prior: float | None


@dataclass(frozen=True, slots=True)
class Recalls:
    """Figures by relation (in the order of the facts' relations), their macro average and the micro
    average.

    A relation of which no fact is scored is in no average; `averaged` says over how many relations
    the macro goes.
    """

    relations: dict[str, Recall]
    macro: Recall
    micro: Recall
    averaged: int


def recalls(facts: FactSet, ranks: NDArray[np.int64], tokens: NDArray[np.int64]) -> Recalls:
    """Return the figures for the ranks of a set's objects.

    Args:
        facts: the F facts asked.
        ranks: [F] the rank of each object, from 1; `LEFT_OUT` where the fact is not scored.
        tokens: [F] the token id of each object that is scored.
    """
    reciprocal = np.divide(1.0, ranks, where=ranks > LEFT_OUT, out=np.zeros(len(ranks)))
    prior = np.zeros(len(ranks))
    relations: dict[str, Recall] = {}
    names = np.array([fact.relation for fact in facts.facts])
    for relation in facts.relations:
        own = names == relation.id
        scored = own & (ranks > LEFT_OUT)
        prior[scored] = 1 / _prior_ranks(tokens[scored])
        relations[relation.id] = _recall(ranks[own], reciprocal[own], prior[own])
    known = [recall for recall in relations.values() if recall.n]
    micro = _recall(ranks, reciprocal, prior)
    macro = Recall(
        micro.n,
        micro.left_out,
        *(_mean([getattr(r, name) for r in known]) for name in ("mrr", "p1", "p10", "prior")),
    )
    return Recalls(relations, macro, micro, len(known))


def _recall(ranks: NDArray[np.int64], reciprocal: NDArray[Any], prior: NDArray[Any]) -> Recall:
    scored = ranks > LEFT_OUT
    figures = (reciprocal[scored], ranks[scored] <= 1, ranks[scored] <= 10, prior[scored])
    return Recall(int(scored.sum()), int((~scored).sum()), *map(_mean, figures))


def _mean(values: NDArray[Any] | Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _prior_ranks(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each token's rank [n] by how often it occurs among `tokens` [n]; among equals the
    lower id comes first.
    """
    kinds, where, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    ranks = np.empty(len(kinds), np.int64)
    ranks[np.lexsort((kinds, -counts))] = np.arange(1, len(kinds) + 1)
    return ranks[where]
