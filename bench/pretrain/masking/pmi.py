"""PMI-Masking: runs of words that belong together in the corpus are chosen together.

Levine et al., 2021, section 3. An n-gram of 2 to 5 words is as strongly collocated as its weakest
split is:

    PMI_n(w1 … wn) = min over s in seg(w1 … wn) of log [ p(w1 … wn) / product over parts t of s of
    p(t) ],

with seg all ways to cut it into two or more contiguous parts, and p(t) the count of t over the
number of n-grams of its length in the corpus. For n = 2 this is the PMI of the two words. Of the
n-grams seen at least `minimum` times, the `share` with the highest PMI_n of each length is the
vocabulary (a third of the words of a million tokens of Wikipedia stand in one at the defaults; the
paper's covers about half). In a text, the n-grams found are units, longest first and from left to
right, other words are units of their own, and units are chosen in random order until `rate` of the
tokens are chosen.

Departs from the paper: the vocabulary is a share of the n-grams of each length, not 800,000 in all,
as corpora here are smaller; the unit across the budget is drawn so that the expected rate is `rate`
exactly. N-grams do not cross special tokens. Words and n-grams are known by hashes of 64 bits:
among a million the chance that any two meet is 3e-8.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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
    take_units,
)

PAPER = "Levine et al., 2021, section 3"
ROWS = 8192
"""Sequences of the corpus looked at together."""
Hashes = NDArray[np.uint64]
WITHIN, BETWEEN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
"""Odd numbers whose powers weigh the pieces of a word and the words of an n-gram."""


class Grams(NamedTuple):
    """The n-grams of one length seen often enough, sorted by hash.

    `codes` [K] are their hashes, `words` [K, n] those of their words, `counts` [K] how often each
    was seen, and `total` how many n-grams of this length the corpus has in all.
    """

    codes: Hashes
    words: Hashes
    counts: NDArray[np.int64]
    total: int

    def log_p(self, codes: Hashes) -> NDArray[np.float64]:
        """Return log(count / total) of n-grams that are all among these, by hash."""
        return np.asarray(np.log(self.counts[np.searchsorted(self.codes, codes)] / self.total))


def strategy(
    corpus: Ids,
    vocabulary: Vocabulary,
    *,
    rate: float = 0.15,
    longest: int = 5,
    minimum: int = 10,
    share: float = 0.5,
) -> Choose:
    """Collect the corpus' collocations of 2 to `longest` words; choose n-grams and words as units.

    Raises:
        BenchError: n-grams of fewer than 2 words, a count below 1, or a share outside 0 to 1.
    """
    if longest < 2 or minimum < 1 or not 0 <= share <= 1:
        allowed = "longest of 2 or more, minimum of 1 or more, share from 0 to 1"
        raise BenchError(
            f"pmi has longest={longest}, minimum={minimum}, share={share}", allowed=allowed
        )
    collocations = [
        best(grams, score, share) for grams, score in scored(corpus, vocabulary, longest, minimum)
    ]

    def choose(ids: Ids, rng: np.random.Generator) -> Places:
        words = find_words(ids, vocabulary)
        units = find_units(hash_words(ids, words), words, collocations)
        places = np.take_along_axis(units, np.maximum(words.number, 0), axis=1)
        return take_units(np.where(words.number >= 0, places, -1), rate, rng)

    return choose


def scored(
    corpus: Ids, vocabulary: Vocabulary, longest: int, minimum: int
) -> Iterator[tuple[Grams, NDArray[np.float64]]]:
    """Yield the n-grams of 2, 3, … words seen `minimum` times or more, and PMI_n [K] of each.

    One pass over the corpus a length. An n-gram is counted only where both (n-1)-grams in it are
    seen often enough, which leaves none out; memory is for the distinct n-grams so counted, 8 (n +
    2) bytes each, twice while merging.
    """
    tables = [count_grams(corpus, vocabulary, 1, minimum, None)]
    for n in range(2, longest + 1):
        tables.append(count_grams(corpus, vocabulary, n, minimum, tables[-1]))
        yield tables[-1], pmi_n(tables)


def count_grams(
    corpus: Ids, vocabulary: Vocabulary, n: int, minimum: int, shorter: Grams | None
) -> Grams:
    """Count the corpus' n-grams whose (n-1)-grams are all in `shorter` (None for words)."""
    codes, words = np.zeros(0, np.uint64), np.zeros((0, n), np.uint64)
    counts, total = np.zeros(0, np.int64), 0
    for start in range(0, len(corpus), ROWS):
        ids = np.asarray(corpus[start : start + ROWS])
        found = find_words(ids, vocabulary)
        hashed = hash_words(ids, found)
        whole = stands(found, n)
        total += int(whole.sum())
        if shorter is not None:
            known = np.isin(hash_grams(hashed, n - 1), shorter.codes)
            whole &= known[:, : whole.shape[1]] & known[:, 1 : 1 + whole.shape[1]]
        rows, places = np.nonzero(whole)
        new = hashed[rows[:, None], places[:, None] + np.arange(n)]
        codes, first, which = np.unique(
            np.concatenate([codes, hash_grams(new, n)[:, 0]]),
            return_index=True,
            return_inverse=True,
        )
        words = np.concatenate([words, new])[first]
        weights = np.concatenate([counts, np.ones(len(new), np.int64)])
        counts = np.bincount(which, weights, minlength=len(codes)).astype(np.int64)
    often = counts >= minimum
    return Grams(codes[often], words[often], counts[often], max(total, 1))


def pmi_n(tables: list[Grams]) -> NDArray[np.float64]:
    """Return PMI_n [K] of the n-grams of the last table, from the tables of 1, 2, … n words.

    The likeliest split is found from left to right: best[j] is the highest log-probability of a
    split of the first j words, over the place i of its last cut; the n-gram itself (no cut) is no
    split.
    """
    grams, n = tables[-1], len(tables)
    best = [np.zeros(len(grams.codes))]
    for j in range(1, n + 1):
        parts = [
            best[i] + tables[j - i - 1].log_p(hash_grams(grams.words[:, i:j], j - i)[:, 0])
            for i in range(j)
            if j - i < n
        ]
        best.append(np.max(parts, axis=0))
    return np.asarray(grams.log_p(grams.codes) - best[n])


def best(grams: Grams, score: NDArray[np.float64], share: float) -> Hashes:
    """Return the sorted hashes of the `share` of n-grams with the highest score; ties by hash."""
    order = np.argsort(-score, kind="stable")[: round(share * len(score))]
    return np.sort(grams.codes[order])


def find_units(hashed: Hashes, words: WordRuns, collocations: list[Hashes]) -> NDArray[np.int64]:
    """Return the unit [n, L] of each word: its n-gram (longest first, then leftmost), or itself.

    Args:
        hashed: [n, L], of the words.
        words: of the same texts.
        collocations: sorted hashes of n-grams of 2, 3, … words.
    """
    free = words.length > 0
    inner = np.zeros_like(free)  # words that go on with an n-gram
    for n in range(len(collocations) + 1, 1, -1):
        found = np.isin(hash_grams(hashed, n), collocations[n - 2]) & stands(words, n)
        for place in np.flatnonzero(found.any(axis=0)):
            rows = found[:, place] & free[:, place : place + n].all(axis=1)
            free[rows, place : place + n] = False
            inner[rows, place + 1 : place + n] = True
    return np.cumsum(~inner, axis=1) - 1


def stands(words: WordRuns, n: int) -> Places:
    """Mark the words [n, L - n + 1] that begin n words in a row, with no special token between."""
    width = max(0, words.length.shape[1] - n + 1)
    first, last = slice(0, width), slice(n - 1, n - 1 + width)
    whole: Places = (words.length[:, last] > 0) & (
        words.segment[:, first] == words.segment[:, last]
    )
    return whole


def hash_words(ids: Ids, words: WordRuns) -> Hashes:
    """Return a hash of the pieces of each word [n, L]; 0 after the last word of a row."""
    hashed = np.zeros(ids.shape, dtype=np.uint64)
    rows, places = np.nonzero(words.number >= 0)
    number = words.number[rows, places]
    starts = np.cumsum(words.length, axis=1) - words.length
    order = np.cumsum(words.number >= 0, axis=1)[rows, places] - 1 - starts[rows, number]
    weights = powers(WITHIN, int(order.max(initial=0)) + 1)[order]
    np.add.at(
        hashed, (rows, number), mixed(ids[rows, places].astype(np.uint64) + np.uint64(1)) * weights
    )
    return mixed(hashed)


def hash_grams(hashed: Hashes, n: int) -> Hashes:
    """Return a hash of every n words in a row [n, L - n + 1], from the hashes of words [n, L]."""
    width = max(0, hashed.shape[1] - n + 1)
    weights = powers(BETWEEN, n)
    total = np.zeros((len(hashed), width), dtype=np.uint64)
    for i in range(n):
        total += mixed(hashed[:, i : i + width]) * weights[i]
    return total


def powers(base: np.uint64, n: int) -> Hashes:
    """Return base^0 … base^(n-1) modulo 2^64."""
    return np.cumprod(
        np.concatenate([np.ones(1, np.uint64), np.full(n - 1, base)]), dtype=np.uint64
    )


def mixed(values: Hashes) -> Hashes:
    """Mix the bits of values, one to one: the last step of splitmix64 (Steele et al., 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))
