"""Collocations of PMI-masking, by hand and by the minimum over all splits."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from maskable import CORPUS, IDS, PAD, SEP, VOCABULARY, generator

from fewbench.pretrain.masking import find_words
from fewbench.pretrain.masking import pmi as collocations


def by_name(grams, score, sequence):
    """Return PMI_n of an n-gram of one-piece words, or None if it is not counted."""
    ids = np.array([sequence])
    code = collocations.hash_grams(
        collocations.hash_words(ids, find_words(ids, VOCABULARY)), len(sequence)
    )[0, 0]
    at = np.flatnonzero(grams.codes == code)
    return float(score[at[0]]) if len(at) else None


def test_pmi_of_n_grams_by_hand():
    a, b, c, d = 4, 5, 6, 8
    corpus = np.array([[a, b, c, PAD], [a, b, c, PAD], [a, b, d, PAD], [c, d, PAD, a]])
    # 12 words: a 4, b 3, c 3, d 2. 7 pairs: ab 3, bc 2, bd 1, cd 1. 3 triples: abc 2, abd 1.
    (two, of_two), (three, of_three) = collocations.scored(corpus, VOCABULARY, 3, 2)
    assert (
        (two.total, three.total) == (7, 3)
        and sorted(two.counts) == [2, 3]
        and list(three.counts) == [2]
    )
    assert by_name(two, of_two, [a, b]) == pytest.approx(log((3 / 7) / (4 / 12 * 3 / 12)))
    assert by_name(two, of_two, [b, c]) == pytest.approx(log((2 / 7) / (3 / 12 * 3 / 12)))
    assert by_name(two, of_two, [c, d]) is None  # seen once
    splits = [4 / 12 * 3 / 12 * 3 / 12, 3 / 7 * 3 / 12, 4 / 12 * 2 / 7]  # a b c, ab c, a bc
    assert by_name(three, of_three, [a, b, c]) == pytest.approx(
        min(log((2 / 3) / split) for split in splits)
    )


def splits(sequence):
    """Return every way to cut a sequence into contiguous parts, the whole one included."""
    yield [sequence]
    for cut in range(1, len(sequence)):
        for rest in splits(sequence[cut:]):
            yield [sequence[:cut], *rest]


def test_pmi_of_n_grams_is_the_minimum_over_all_splits():
    corpus = generator(5).choice([4, 5, 6], (300, 12), p=[0.6, 0.3, 0.1])
    tables = dict(enumerate(collocations.scored(corpus, VOCABULARY, 5, 3), start=2))

    def p(part):
        found = sum(
            tuple(row[i : i + len(part)]) == part
            for row in corpus.tolist()
            for i in range(13 - len(part))
        )
        return found / (300 * (13 - len(part)))

    for sequence in [(4, 5, 4), (4, 4, 5, 6), (4, 5, 4, 4, 5), (5, 5, 4, 4, 4)]:
        expected = min(
            log(p(sequence) / np.prod([p(part) for part in parts]))
            for parts in splits(sequence)
            if len(parts) > 1
        )
        assert by_name(*tables[len(sequence)], sequence) == pytest.approx(expected)


def test_blocks_of_the_corpus_do_not_matter(monkeypatch):
    whole = list(collocations.scored(CORPUS, VOCABULARY, 4, 3))
    monkeypatch.setattr(collocations, "ROWS", 37)
    for (one, score), (other, same) in zip(
        whole, collocations.scored(CORPUS, VOCABULARY, 4, 3), strict=True
    ):
        assert (
            (one.codes == other.codes).all()
            and (one.counts == other.counts).all()
            and one.total == other.total
        )
        assert score == pytest.approx(same)


def test_n_grams_found_are_units_longest_and_leftmost_first():
    ids = np.array([[4, 5, 6, 8, 4, 5, 5, SEP, 6, 8, PAD]])
    words = find_words(ids, VOCABULARY)
    hashed = collocations.hash_words(ids, words)

    def code(*sequence):
        one = np.array([sequence])
        return collocations.hash_grams(
            collocations.hash_words(one, find_words(one, VOCABULARY)), len(sequence)
        )[0]

    pairs = np.sort(np.concatenate([code(4, 5), code(5, 5), code(5, 6)]))
    units = collocations.find_units(hashed, words, [pairs, code(5, 6, 8)])[0]
    # 4 | 5 6 8 | 4 5 | 5 | 6 | 8: the triple before the pairs in it, the pair 4 5 before 5 5; 5
    # [SEP] 6 is no pair
    assert units[:9].tolist() == [0, 1, 1, 1, 2, 2, 3, 4, 5]


def test_n_grams_are_masked_whole():
    ids = generator(6).choice([4, 5, 6, 8, 9, 10], (400, 20))
    ids[:, 5:8] = [12, 15, 13]  # 15 goes on with 12: a word of two pieces, then 13
    mask = collocations.strategy(ids, VOCABULARY, longest=2, share=0.02)(ids, generator())
    assert mask[:, 5:8].any() and (mask[:, 5:8] == mask[:, 5:6]).all()


@settings(deadline=None, max_examples=50)
@given(ids=IDS)
def test_words_have_one_hash_each(ids):
    """Two words have one hash just if their pieces are the same, wherever they stand."""
    words = find_words(ids, VOCABULARY)
    hashed = collocations.hash_words(ids, words)
    seen = {}
    for row, (numbers, tokens) in enumerate(zip(words.number, ids, strict=True)):
        for word in range(numbers.max() + 1):
            seen.setdefault(tuple(tokens[numbers == word]), set()).add(hashed[row, word])
    assert all(len(codes) == 1 for codes in seen.values())
    assert len(set.union(set(), *seen.values())) == len(seen)
