"""Factual recall from ranks: mean reciprocal rank and precision, by relation, macro and micro.

MRR = 1/n sum_i 1/rank_i over the n facts that are scored (thesis, chapter 7). The macro average is
the mean over relations (Figure 7.3), the micro average that over facts (the "Overall" of Table
7.3).

Axes: F facts of a set, n those that are scored. No torch.
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
    """The figures of a relation, or an average of them.

    Attributes:
        n: the facts scored.
        left_out: the facts not scored, since their object is not one token or their text does not
            fit the model.
        mrr: the mean reciprocal rank of the objects. It is None if no fact is scored, as are the
            next three.
        p1: the share of objects at rank 1.
        p10: the share within the first 10.
        prior: the MRR of an oracle that never reads a fact: it answers with the objects of the
            relation's scored facts, the most frequent first. It has seen the answers, so many
            models stay below it; a model above it knows more than which objects the relation has.
    """

    n: int
    left_out: int
    mrr: float | None
    p1: float | None
    p10: float | None
    prior: float | None


@dataclass(frozen=True, slots=True)
class Recalls:
    """Figures by relation, in the order of the facts' relations, and their two averages.

    A relation without a scored fact is in no average; `averaged` is the number of relations in the
    macro average.
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
        rows = names == relation.id
        scored = rows & (ranks > LEFT_OUT)
        prior[scored] = 1 / _prior_ranks(tokens[scored])
        relations[relation.id] = _recall(ranks[rows], reciprocal[rows], prior[rows])
    averaged = [recall for recall in relations.values() if recall.n]
    micro = _recall(ranks, reciprocal, prior)
    macro = _macro(averaged, micro)
    return Recalls(relations, macro, micro, len(averaged))


def _recall(ranks: NDArray[np.int64], reciprocal: NDArray[Any], prior: NDArray[Any]) -> Recall:
    scored = ranks > LEFT_OUT
    return Recall(
        n=int(scored.sum()),
        left_out=int((~scored).sum()),
        mrr=_mean(reciprocal[scored]),
        p1=_mean(ranks[scored] <= 1),
        p10=_mean(ranks[scored] <= 10),
        prior=_mean(prior[scored]),
    )


def _macro(relations: Sequence[Recall], micro: Recall) -> Recall:
    """Return the mean figures of relations, with the counts of the micro average."""

    def mean(name: str) -> float | None:
        return _mean([getattr(relation, name) for relation in relations])

    return Recall(micro.n, micro.left_out, mean("mrr"), mean("p1"), mean("p10"), mean("prior"))


def _mean(values: NDArray[Any] | Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _prior_ranks(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank each of `tokens` [n] by its frequency among them; of equals the lower id comes first."""
    distinct, numbers, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    ranks = np.empty(len(distinct), np.int64)
    ranks[np.lexsort((distinct, -counts))] = np.arange(1, len(distinct) + 1)
    return ranks[numbers]
