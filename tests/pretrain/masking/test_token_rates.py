"""Token-specific rates: the literal counts, scaled to the overall rate."""

from __future__ import annotations

import numpy as np
import pytest
from maskable import CORPUS, SIZE, VOCABULARY, generator

from fewbench.pretrain.masking import build, token_rates


def test_token_rates_are_the_literal_counts():
    def every_even_place(ids, rng):
        return ~VOCABULARY.special[ids] & (np.arange(ids.shape[1]) % 2 == 0)

    rates = token_rates.token_rates(
        CORPUS, VOCABULARY, every_even_place, rate=0.15, share=1.0, prior=2.0
    )
    masked, seen = [0] * SIZE, [0] * SIZE
    for row in CORPUS:
        for place, token in enumerate(row):
            if not VOCABULARY.special[token]:
                seen[token] += 1
                masked[token] += place % 2 == 0
    plain = np.array([0 if v < 3 else (masked[v] + 2 * 0.15) / (seen[v] + 2) for v in range(SIZE)])
    scale = 0.15 * sum(seen) / (plain @ seen)
    assert rates == pytest.approx(plain * scale)
    assert rates @ seen == pytest.approx(0.15 * sum(seen))


def test_rare_tokens_are_drawn_to_the_overall_rate_and_frequent_ones_are_not():
    ids = np.array([[3] * 99 + [4], [5] * 100])

    def only_threes_and_fours(ids, rng):
        return (ids == 3) | (ids == 4)

    rates = token_rates.token_rates(
        ids, VOCABULARY, only_threes_and_fours, rate=0.5, share=1.0, prior=1.0
    )
    plain = [(99 + 0.5) / 100, (1 + 0.5) / 2, 0.5 / 101, 0.5]  # of 3, 4, 5, and one never seen
    scale = 0.5 * 200 / (plain[0] * 99 + plain[1] + plain[2] * 100)
    assert rates[3:7] == pytest.approx([min(1, scale * rate) for rate in plain])


def test_a_share_of_the_corpus_is_looked_at():
    looked_at = []

    def remember(ids, rng):
        looked_at.append(len(ids))
        return np.zeros(ids.shape, dtype=bool)

    token_rates.token_rates(CORPUS, VOCABULARY, remember, rate=0.15, share=0.05, prior=1.0)
    assert looked_at == [40]


def test_rates_above_one_are_cut_and_the_others_make_up_for_it():
    rates = token_rates.scale_rates(np.array([0.9, 0.1, 0.1, 0.0]), np.array([10, 10, 10, 10]), 0.4)
    assert rates == pytest.approx([1, 0.3, 0.3, 0])
    assert token_rates.scale_rates(np.array([0.5, 0.0]), np.array([1, 9]), 0.4) == pytest.approx(
        [1, 0]
    )


def test_stop_words_are_masked_less_than_the_words_of_a_topic():
    """Figure 7.5: eight topics of six words; half of the places hold common words."""
    rng = generator(8)
    topics, common = (
        rng.integers(12, 18, (600, 30)) + 6 * rng.integers(0, 8, (600, 1)),
        rng.integers(4, 12, (600, 30)),
    )
    ids = np.where(rng.random((600, 30)) < 0.5, common, topics)
    fast = build("token-rates:share=1.0", ids, VOCABULARY)
    assert fast.rates[12:].min() > 1.3 * fast.rates[4:12].max()
    assert (fast.rates[VOCABULARY.special] == 0).all()
    chosen = build("informask", ids, VOCABULARY)(ids, rng)
    by_kind = [chosen[ids < 12].mean(), chosen[ids >= 12].mean()]
    assert by_kind == pytest.approx(
        [fast.rates[ids[ids < 12]].mean(), fast.rates[ids[ids >= 12]].mean()], abs=0.01
    )
