"""InforMask's masks of one epoch, repeated; and how often words are masked."""

from __future__ import annotations

import numpy as np
import pytest
from maskable import CORPUS, VOCABULARY, generator

from fewbench.pretrain.masking import build
from fewbench.pretrain.word_rates import known_words, overall_rates, word_rates


def test_a_sequence_has_the_same_masks_whenever_it_comes():
    choose = build("repeated:candidates=5", CORPUS, VOCABULARY)
    rows = CORPUS[:6]
    first = choose(rows, generator())
    again = choose(rows[::-1].astype(np.uint16), np.random.default_rng(99))
    assert (again[::-1] == first).all() and first.any()
    other = build("repeated:candidates=5,seed=1", CORPUS, VOCABULARY)(rows, generator())
    assert (other != first).any()
    assert not first[VOCABULARY.special[rows]].any()


def test_a_word_s_rate_is_counted_where_it_stands():
    corpus = np.array([[3, 4, 3, 5], [4, 4, 5, 5], [5, 5, 5, 3], [6, 6, 6, 6]])

    def first_two_places(ids, rng):
        return np.arange(ids.shape[1]) < np.full(ids.shape, 2)

    def nothing(ids, rng):
        return np.zeros(ids.shape, bool)

    strategies = {"first": first_two_places, "none": nothing}
    asked = dict(sequences=10, draws=3, seed=0)
    three, four = word_rates(corpus, {"a": 3, "b": 4}, strategies, **asked)
    assert three.rates == {"first": pytest.approx(1 / 3), "none": 0.0}  # 1 of 3 stands there
    assert four.rates["first"] == 1.0 and (three.seen, four.seen) == (9, 9)
    assert three.share == pytest.approx(3 / 16)
    special = np.zeros(7, bool)
    special[6] = True
    overall = overall_rates(corpus, special, strategies, rows=4, seed=0)
    assert overall == {"first": pytest.approx(0.5), "none": 0.0}
    assert known_words(["a", "c", "z"], {"a": 3, "c": 2}, corpus) == {"a": 3}
    assert known_words(["a", "b"], {"a": 3, "b": 6}, corpus, least=4) == {"b": 6}
