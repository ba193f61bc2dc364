"""The bootstrap and the permutation tests, against hand arithmetic, exact enumeration and SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewbench.statistics.paired import mcnemar
from fewbench.statistics.resample import bootstrap, interval, p_value, permuted, resample_seeds, sign_flips
from fewbench.statistics.sums import SUMMED

FEATURES, ACCURACY = SUMMED["accuracy"]


def right(*seeds):
    """Accuracy's features of answers that are right or wrong, [S, n, 2]."""
    return np.stack([FEATURES(np.ones(len(one)), np.asarray(one), 2) for one in seeds])


def test_two_seeds_resampled_by_hand():
    # drawn means of (0, 2) are 0, 1, 1, 2; their distance from 1 is stretched by the root of 2 / (2 - 1)
    means = resample_seeds(np.tile([0.0, 2.0], (4000, 1)), np.random.default_rng(0))
    values, counts = np.unique(means.round(9), return_counts=True)
    assert values == pytest.approx([1 - 2**0.5, 1, 1 + 2**0.5])
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_a_single_seed_is_taken_as_it_is():
    assert resample_seeds(np.array([[0.1], [0.3]]), np.random.default_rng(0)).tolist() == [0.1, 0.3]


def test_the_variance_of_the_bootstrap_is_that_of_seeds_and_of_items():
    rng = np.random.default_rng(1)
    # Items alone: a difference of d with variance v over n items has variance v / n.
    first, second = rng.random(400) < 0.7, rng.random(400) < 0.6
    drawn = bootstrap(right(first), right(second), ACCURACY, 20_000, rng)
    differences = first.astype(float) - second
    assert drawn.mean() == pytest.approx(differences.mean(), abs=0.002)
    assert drawn.var() == pytest.approx(differences.var() / 400, rel=0.05)
    # Seeds alone: S scores have variance of their mean var(ddof 1) / S, exactly so after the stretching.
    scores = np.array([0.1, 0.4, 0.2, 0.6])
    drawn = resample_seeds(np.tile(scores, (40_000, 1)), rng)
    assert drawn.var() == pytest.approx(scores.var(ddof=1) / 4, rel=0.05)


def test_items_are_the_same_for_all_seeds():
    # Seeds that answer alike add nothing: five copies of one model have the interval of one.
    rng = np.random.default_rng(2)
    first, second = rng.random(200) < 0.7, rng.random(200) < 0.5
    one = bootstrap(right(first), right(second), ACCURACY, 8000, np.random.default_rng(3))
    five = bootstrap(right(*[first] * 5), right(*[second] * 5), ACCURACY, 8000, np.random.default_rng(3))
    assert five.std() == pytest.approx(one.std(), rel=1e-9)


def test_items_that_a_seed_lacks_add_nothing():
    first, second = right([1, 0, 1, 1]), right([0, 0, 1, 0])
    gone = np.zeros((1, 3, 2))
    with_gap = [np.concatenate([side, gone], axis=1) for side in (first, second)]
    assert (ACCURACY(with_gap[0].sum(1)) - ACCURACY(with_gap[1].sum(1))).tolist() == [0.5]
    assert interval(bootstrap(*with_gap, ACCURACY, 4000, np.random.default_rng(0)))[1] <= 1.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 9), seeds=st.integers(1, 3))
def test_permutations_approach_the_exact_p_of_all_swaps(seed, n, seeds):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(2, size=(2, seeds, n))
    observed = (first - second).mean()
    exact = np.mean(
        [
            abs(np.where(swap, second - first, first - second).mean()) >= abs(observed) - 1e-12
            for swap in itertools.product([False, True], repeat=n)
        ]
    )
    null = permuted(right(*first), right(*second), ACCURACY, 4000, np.random.default_rng(0))
    assert p_value(null, observed) == pytest.approx(exact, abs=0.04)


def test_of_one_seed_the_permutation_test_is_mcnemars():
    first, second = np.array([1] * 11 + [0] * 3 + [1] * 20), np.array([0] * 11 + [1] * 3 + [1] * 20)
    null = permuted(right(first), right(second), ACCURACY, 20_000, np.random.default_rng(0))
    assert p_value(null, 8 / 34) == pytest.approx(mcnemar(first > 0, second > 0), abs=0.01)


def test_permutation_of_a_metric_that_is_no_mean_agrees_with_scipy():
    rng = np.random.default_rng(5)
    gold = rng.normal(size=60)
    one, other = gold + rng.normal(size=60), gold + 2 * rng.normal(size=60)
    features, value = SUMMED["pearson"]
    null = permuted(features(gold, one, 0)[None], features(gold, other, 0)[None], value, 8000, rng)

    def difference(x, y):
        return np.corrcoef(gold, x)[0, 1] - np.corrcoef(gold, y)[0, 1]

    want = stats.permutation_test(
        (one, other), difference, permutation_type="samples", n_resamples=4000, rng=np.random.default_rng(1)
    )
    assert p_value(null, difference(one, other)) == pytest.approx(want.pvalue, abs=0.03)


@settings(deadline=None)
@given(st.lists(st.integers(-100, 100), min_size=1, max_size=9))
def test_sign_flips_are_all_patterns(hundredths):
    flips = itertools.product([-1, 1], repeat=len(hundredths))
    null = [abs(np.dot(signs, hundredths)) >= abs(sum(hundredths)) for signs in flips]
    found = sign_flips([value / 100 for value in hundredths], np.random.default_rng(0))
    assert found == pytest.approx(np.mean(null), abs=1e-9)


def test_sign_flips_have_a_least_value_and_approach_the_exact_one_beyond_fourteen():
    rng = np.random.default_rng(0)
    assert [sign_flips([0.1] * n, rng) for n in (1, 2, 3, 5)] == [1.0, 0.5, 0.25, 0.0625]
    differences = [*np.linspace(-0.5, 1, 16)]
    want = stats.permutation_test(
        (differences,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert sign_flips(differences, rng) == pytest.approx(want.pvalue, abs=0.01)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(SUMMED)), seed=st.integers(0, 10**6))
def test_a_method_against_itself_differs_by_nothing(name, seed):
    rng = np.random.default_rng(seed)
    features, value = SUMMED[name]
    gold, answers = (rng.normal(size=30), rng.normal(size=30)) if name == "pearson" else rng.integers(2, size=(2, 30))
    mine = np.stack([features(gold, answers, 2)] * 3)
    assert interval(bootstrap(mine, mine, value, 200, rng)) == (0.0, 0.0)
    assert p_value(permuted(mine, mine, value, 200, rng), 0.0) == 1.0
    assert sign_flips([0.0, 0.0, 0.0], rng) == 1.0
    assert mcnemar(answers > 0, answers > 0) == 1.0


def test_chunks_draw_as_many_as_asked(monkeypatch):
    monkeypatch.setattr("fewbench.statistics.resample.CHUNK", 25)
    side = right([1, 0, 1, 1, 0, 1, 0, 0, 1, 1])
    assert len(bootstrap(side, side, ACCURACY, 7, np.random.default_rng(0))) == 7
    assert len(permuted(side, side, ACCURACY, 7, np.random.default_rng(0))) == 7
