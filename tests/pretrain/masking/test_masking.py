"""Properties of all masking strategies, and the words they choose from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import CLS, CORPUS, IDS, PAD, SEEDS, SEP, VOCABULARY, generator

from fewbench.errors import BenchError
from fewbench.pretrain.masking import build, find_words, parse, strategies, take_units

NAMES = ["informask", "pmi", "random", "repeated", "span", "token-rates", "whole-word"]


# The registry


def test_strategies_are_the_files_of_the_folder():
    assert sorted(strategies()) == NAMES
    for info in strategies().values():
        assert info.summary and info.paper and info.settings["rate"] == 0.15


def test_listing_and_binding_import_no_strategy():
    code = (
        "import sys; from fewbench.pretrain.masking import parse, strategies; strategies(); parse('span:p=0.5');"
        "print([m for m in sys.modules if m.startswith('fewbench.pretrain.masking.') or m in ('scipy', 'torch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_settings_are_bound():
    chosen = parse("informask:candidates=7, window=5,rate=1")
    assert chosen.method.name == "informask" and chosen.settings == {
        "candidates": 7,
        "window": 5,
        "rate": 1.0,
    }
    assert parse("whole-word").settings == {}


@pytest.mark.parametrize(
    ("spec", "nearest", "said"),
    [
        ("infomask", ["informask"], "unknown masking strategy 'infomask'"),
        ("informask:candidate=3", ["candidates"], "no setting 'candidate'"),
        ("informask:candidates", [], "gives no value to 'candidates'"),
        ("informask:candidates=many", [], "'many' does not fit informask:candidates"),
        ("random:rate=1.5", [], "the rate of 'random' is 1.5"),
    ],
)
def test_a_wrong_spec_is_explained(spec, nearest, said):
    with pytest.raises(BenchError, match=said) as caught:
        parse(spec)
    assert caught.value.nearest == nearest
    assert "--methods" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        "informask:candidates=0",
        "token-rates:share=0.0",
        "span:p=0.0",
        "span:longest=0",
        "pmi:longest=1",
    ],
)
def test_a_setting_out_of_range_is_refused(spec):
    with pytest.raises(BenchError):
        build(spec, CORPUS, VOCABULARY)


# What holds for every strategy


@pytest.mark.parametrize("rate", [0.15, 0.4])
@pytest.mark.parametrize("name", NAMES)
def test_the_overall_rate_is_the_one_asked_for(name, rate):
    choose = build(f"{name}:rate={rate}", CORPUS, VOCABULARY)
    rng, tokens = generator(3), (~VOCABULARY.special[CORPUS]).sum()
    chosen = [choose(CORPUS, rng) for _ in range(4)]
    deviation = (
        rate * (1 - rate) / (4 * tokens)
    ) ** 0.5  # of independent draws; the others spread less
    assert np.mean([mask.sum() / tokens for mask in chosen]) == pytest.approx(
        rate, abs=4 * deviation
    )
    assert not any((mask & VOCABULARY.special[CORPUS]).any() for mask in chosen)
    assert not any(mask[-1].any() for mask in chosen)  # the row of padding
    assert chosen[0].dtype == np.bool_ and chosen[0].shape == CORPUS.shape


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_one_choice(name):
    first, second = (build(name, CORPUS, VOCABULARY, seed=5) for _ in range(2))
    assert (first(CORPUS, generator(1)) == second(CORPUS, generator(1))).all()
    differ = (first(CORPUS, generator(1)) != first(CORPUS, generator(2))).any()
    assert differ == (name != "repeated")


@pytest.mark.parametrize("name", NAMES)
def test_rates_of_nothing_and_all(name):
    ids = CORPUS[:50]
    assert not build(f"{name}:rate=0", ids, VOCABULARY)(ids, generator()).any()
    assert (
        build(f"{name}:rate=1", ids, VOCABULARY)(ids, generator()) == ~VOCABULARY.special[ids]
    ).all()


@pytest.mark.parametrize("shape", [(0, 12), (3, 12), (2, 1), (2, 0)])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_choose_from(name, shape):
    ids = np.zeros(shape, dtype=np.uint16)
    mask = build(name, CORPUS[:20], VOCABULARY)(ids, generator())
    assert mask.shape == shape and not mask.any()
    assert not build(name, ids, VOCABULARY)(ids, generator()).any()  # a CORPUS without a token


@pytest.mark.parametrize("name", ["whole-word", "span", "pmi"])
def test_words_are_chosen_whole(name):
    number = find_words(CORPUS, VOCABULARY).number
    mask = build(name, CORPUS, VOCABULARY)(CORPUS, generator())
    for row in range(len(CORPUS)):
        for word in range(number[row].max(initial=-1) + 1):
            assert len(set(mask[row, number[row] == word])) == 1


@pytest.mark.parametrize("name", ["whole-word", "span"])
def test_a_sequence_oversteps_by_less_than_its_longest_word(name):
    words = find_words(CORPUS, VOCABULARY)
    chosen = build(name, CORPUS, VOCABULARY)(CORPUS, generator()).sum(axis=1)
    budget = 0.15 * words.length.sum(axis=1)
    longest = words.length.max(axis=1)
    assert (chosen < budget + np.maximum(longest, 1)).all() and (
        chosen > budget - np.maximum(longest, 1)
    ).all()


# Words and units


def test_words_by_hand():
    ids = np.array(
        [[CLS, 3, 4, 7, 11, 5, SEP, 7, 6, PAD]]
    )  # 3, 7, 11 continue; none stands before the first 3
    words = find_words(ids, VOCABULARY)
    assert words.number.tolist() == [[-1, 0, 1, 1, 1, 2, -1, 3, 4, -1]]
    assert words.length.tolist() == [[1, 3, 1, 1, 1, 0, 0, 0, 0, 0]]
    assert words.segment[0, :5].tolist() == [1, 1, 1, 2, 2]


@settings(deadline=None, max_examples=50)
@given(ids=IDS, rate=st.floats(0, 1), seed=SEEDS)
def test_units_are_taken_whole_and_up_to_the_budget(ids, rate, seed):
    units = find_words(ids, VOCABULARY).number
    mask = take_units(units, rate, generator(seed))
    for row, chosen in zip(units, mask, strict=True):
        taken = set(row[chosen])
        assert (chosen == np.isin(row, list(taken))).all() and -1 not in taken
        budget, sizes = rate * (row >= 0).sum(), np.bincount(row[row >= 0])
        assert abs(chosen.sum() - budget) < sizes.max(initial=1) + 1e-9


def test_the_expected_number_is_the_budget_whatever_the_lengths():
    units = np.tile([0, 0, 0, 0, 0, 1, 2, 2, 2, -1], (20_000, 1))  # budget 2.7 of 9
    mean = take_units(units, 0.3, generator()).sum(axis=1).mean()
    assert mean == pytest.approx(
        2.7, abs=0.06
    )  # the deviation of one is below 2, of the mean below 0.015
