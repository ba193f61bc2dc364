"""Span masking: runs of whole words, their lengths drawn from a geometric distribution.

Joshi et al., 2020 (SpanBERT), section 3.1: a span has l words with probability proportional to (1 -
p)^(l - 1) p, l up to 10 (mean 3.8 for p = 0.2), and begins at a word drawn uniformly; spans are
drawn until `rate` of a sequence's tokens are chosen. The distribution is cut at 10 and scaled up,
not heaped at 10, which gives the paper's mean.

Departs from the paper: the span that would overstep the budget is cut at a word, its last word
drawn so that the expected rate is `rate` exactly (the authors' code cuts it between pieces of a
word), so a sequence oversteps by less than one word; a span begins at a word not yet chosen, and
ends early at a special token or the end of the sequence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewbench.errors import BenchError
from fewbench.pretrain.masking import (
    Choose,
    Ids,
    Places,
    Vocabulary,
    WordRuns,
    find_words,
    within_budget,
)

PAPER = "Joshi et al., 2020, section 3.1"


def strategy(
    corpus: Ids, vocabulary: Vocabulary, *, rate: float = 0.15, p: float = 0.2, longest: int = 10
) -> Choose:
    """Choose spans of up to `longest` words until `rate` of a sequence's tokens are chosen.

    The corpus is not looked at.

    Raises:
        BenchError: p is not above 0 and up to 1, or spans of no words.
    """
    if not 0 < p <= 1 or longest < 1:
        raise BenchError(
            f"span has p={p}, longest={longest}",
            allowed="p above 0 and up to 1; longest of 1 or more",
        )
    chances = span_lengths(p, longest)

    def choose(ids: Ids, rng: np.random.Generator) -> Places:
        words = find_words(ids, vocabulary)
        taken = take_spans(words, rate * words.length.sum(axis=1), chances, rng)
        return np.take_along_axis(taken, np.maximum(words.number, 0), axis=1) & (words.number >= 0)

    return choose


def span_lengths(p: float, longest: int) -> NDArray[np.float64]:
    """Return the truncated geometric distribution [longest] of spans of 1, 2, … words."""
    chances = p * (1 - p) ** np.arange(longest)
    return np.asarray(chances / chances.sum())


def take_spans(
    words: WordRuns,
    budget: NDArray[np.float64],
    chances: NDArray[np.float64],
    rng: np.random.Generator,
) -> Places:
    """Choose spans of words until each row's budget of tokens is spent.

    Every turn draws one span for each row that has budget left; it costs the tokens of its words
    not yet chosen.

    Args:
        words: of n sequences, at most L each.
        budget: [n], in tokens.
        chances: the probability of spans of 1, 2, … words.
        rng: draws beginnings, lengths and the words across the budget.

    Returns:
        [n, L], whether each word is chosen.
    """
    taken = np.zeros(words.length.shape, dtype=np.bool_)
    budget = budget.astype(np.float64)
    place = np.arange(words.length.shape[1])
    waiting = np.flatnonzero(budget > 0)
    while len(waiting):
        length, segment = words.length[waiting], words.segment[waiting]
        free = (length > 0) & ~taken[waiting]
        begin = np.where(free, rng.random(free.shape), -1.0).argmax(axis=1)[:, None]
        end = begin + 1 + rng.choice(len(chances), (len(waiting), 1), p=chances)
        inside = (
            free
            & (place >= begin)
            & (place < end)
            & (segment == np.take_along_axis(segment, begin, axis=1))
        )
        cost = np.where(inside, length, 0)
        chosen = inside & within_budget(cost, budget[waiting], rng)
        taken[waiting] |= chosen
        overstepped = cost.sum(axis=1) >= budget[waiting]
        budget[waiting] = np.where(overstepped, 0.0, budget[waiting] - cost.sum(axis=1))
        left = words.length[waiting].sum(axis=1) > (words.length[waiting] * taken[waiting]).sum(
            axis=1
        )
        waiting = waiting[(budget[waiting] > 1e-9) & left]
    return taken
