"""Masking rates of words, by masking strategy: thesis Figures 7.5 and 7.7.

Axes: N sequences of a corpus, L places, V token ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewbench.pretrain.masking import Choose, Ids

AT_ONCE = 256
"""Sequences masked together."""


class WordRate(NamedTuple):
    """A word's share of the corpus' tokens, and the share of its occurrences that are masked.

    `rates` are by strategy, over the `seen` occurrences in the sequences that were masked, each as
    often as it was drawn anew.
    """

    word: str
    share: float
    seen: int
    rates: dict[str, float]


def word_rates(
    corpus: Ids,
    words: Mapping[str, int],
    strategies: Mapping[str, Choose],
    *,
    sequences: int,
    draws: int,
    seed: int,
) -> list[WordRate]:
    """Mask sequences that a word stands in, and count how often the word is chosen.

    Every strategy masks the same sequences.

    Args:
        corpus: [N, L].
        words: their token ids, by how they are written; each stands in the corpus.
        strategies: by name.
        sequences: of each word at most, drawn without replacement.
        draws: how often each sequence is masked.
        seed: of the sequences and of the masks.
    """
    counts = np.bincount(np.asarray(corpus).ravel(), minlength=max(words.values()) + 1)
    rng = np.random.default_rng(seed)
    found = []
    for word, token in words.items():
        rows = np.flatnonzero((corpus == token).any(axis=1))
        rows = np.sort(rng.permutation(rows)[:sequences])
        ids = np.asarray(corpus[rows])
        rates = {
            name: _rate(ids, token, choose, draws, np.random.default_rng([seed, token]))
            for name, choose in strategies.items()
        }
        seen = int((ids == token).sum()) * draws
        found.append(WordRate(word, float(counts[token] / corpus.size), seen, rates))
    return found


def _rate(ids: Ids, token: int, choose: Choose, draws: int, rng: np.random.Generator) -> float:
    """Return the share of a token's occurrences that are chosen in some sequences."""
    here = ids == token
    chosen = 0
    for _ in range(draws):
        for start in range(0, len(ids), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            chosen += int((choose(ids[part], rng) & here[part]).sum())
    return chosen / max(1, int(here.sum()) * draws)


def overall_rates(
    corpus: Ids,
    special: NDArray[np.bool_],
    strategies: Mapping[str, Choose],
    *,
    rows: int,
    seed: int,
) -> dict[str, float]:
    """Return the share of all ordinary tokens that each strategy masks, in drawn sequences.

    Args:
        corpus: [N, L].
        special: [V], ids that are never masked.
        strategies: by name.
        rows: sequences drawn.
        seed: of the draw and of the masks.
    """
    rng = np.random.default_rng(seed)
    ids = np.asarray(corpus[np.sort(rng.permutation(len(corpus))[:rows])])
    ordinary = ~special[ids]
    return {
        name: float(choose(ids, np.random.default_rng(seed))[ordinary].mean())
        for name, choose in strategies.items()
    }


def known_words(
    words: Sequence[str], vocabulary: Mapping[str, int], corpus: Ids, *, least: int = 1
) -> dict[str, int]:
    """Return the token ids of those words that are one token and stand often enough in the corpus.

    Args:
        words: as they are written.
        vocabulary: the ids of tokens.
        corpus: [N, L].
        least: how often a word must stand there.
    """
    tokens = {word: vocabulary[word] for word in words if word in vocabulary}
    counts = np.bincount(np.asarray(corpus).ravel(), minlength=max(tokens.values(), default=0) + 1)
    return {word: token for word, token in tokens.items() if counts[token] >= least}
