"""Spans: runs of words, their lengths, and where they end."""

from __future__ import annotations

import numpy as np
import pytest
from maskable import SEP, VOCABULARY, generator

from fewbench.pretrain.masking import find_words, span


def test_span_lengths_are_geometric_with_the_mean_of_the_paper():
    chances = span.span_lengths(0.2, 10)
    assert chances[1] / chances[0] == pytest.approx(0.8) and chances.sum() == pytest.approx(1)
    assert chances @ np.arange(1, 11) == pytest.approx(
        3.797, abs=1e-3
    )  # SpanBERT, section 3.1: 3.8


def test_spans_are_runs_of_words_that_special_tokens_end():
    ids = np.full((4000, 21), 4)
    ids[:, 10] = SEP
    mask = span.strategy(ids, VOCABULARY, rate=0.2, p=1e-9, longest=4)(
        ids, generator()
    )  # lengths 1 to 4 alike
    assert (mask.sum(axis=1) == 4).all() and not mask[:, 10].any()
    single = span.strategy(ids, VOCABULARY, rate=0.2, longest=1)(ids, generator())
    runs, single_runs = (
        np.diff(np.pad(m, ((0, 0), (1, 1))).astype(int), axis=1) == 1 for m in (mask, single)
    )
    assert runs.sum() < 0.7 * single_runs.sum()


def test_a_span_does_not_go_on_behind_a_special_token():
    """Six words, [SEP] after the third; spans of two words, budget 2.

    Words 2 and 3 are chosen together only where a span begins at 2, ends there, and the next begins
    at 3: 1/6 of 1/5."""
    ids = np.tile([4, 4, 4, SEP, 4, 4, 4], (6000, 1))
    taken = span.take_spans(
        find_words(ids, VOCABULARY), np.full(6000, 2.0), np.array([0.0, 1.0]), generator()
    )
    assert (taken.sum(axis=1) == 2).all()
    assert (taken[:, 2] & taken[:, 3]).mean() == pytest.approx(1 / 30, abs=0.01)
    assert (taken[:, 0] & taken[:, 1]).mean() == pytest.approx(1 / 6, abs=0.02)


def test_the_first_span_begins_anywhere_and_has_the_drawn_length():
    words = find_words(np.full((20_000, 30), 4), VOCABULARY)
    chances = np.array([0.0, 0.5, 0.5])
    taken = span.take_spans(words, np.full(20_000, 2.0), chances, generator())
    counts = np.bincount(taken.sum(axis=1))
    assert counts[3:].sum() == 0  # the third word of a span oversteps a budget of 2
    begins = taken.argmax(axis=1)
    assert np.bincount(begins, minlength=30)[:28].std() < 60  # 667 each, deviation 25
