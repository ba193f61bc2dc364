"""The bootstrap and the permutation tests, against hand arithmetic, exact enumeration and SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewbench.report.statistics.paired import mcnemar
from fewbench.report.statistics.resample import Items, bootstrap, p_value, permuted
from fewbench.report.statistics.sums import SUMMED

FEATURES, ACCURACY = SUMMED["accuracy"]


def right(*seeds):
    """Accuracy's features of answers that are right or wrong, [S, n, 2]."""
    return np.stack([FEATURES(np.ones(len(one)), np.asarray(one), 2) for one in seeds])


def drawn_by(draw, first, second, value, resamples, rng):
    """One comparison's draws."""
    return draw([Items(first, second, value)], resamples, rng)[0]


def test_comparisons_on_one_test_set_have_the_draws_that_each_has_alone():
    rng = np.random.default_rng(4)
    several = [Items(*(right(*(rng.random((2, 50)) < 0.6)) for _ in "12"), ACCURACY) for _ in "123"]
    for draw in (bootstrap, permuted):
        together = draw(several, 40, np.random.default_rng(6))
        for items, found in zip(several, together, strict=True):
            alone = draw([items], 40, np.random.default_rng(6))[0]
            np.testing.assert_allclose(found, alone, rtol=0, atol=1e-12)


def test_the_variance_of_the_bootstrap_is_that_of_items():
    rng = np.random.default_rng(1)
    # A difference of d with variance v over n items has variance v / n.
    first, second = rng.random(400) < 0.7, rng.random(400) < 0.6
    drawn = drawn_by(bootstrap, right(first), right(second), ACCURACY, 20_000, rng)
    differences = first.astype(float) - second
    assert drawn.mean() == pytest.approx(differences.mean(), abs=0.002)
    assert drawn.var() == pytest.approx(differences.var() / 400, rel=0.05)


def test_items_are_the_same_for_all_seeds():
    # Seeds that answer alike add nothing: five copies of one model have the interval of one.
    rng = np.random.default_rng(2)
    first, second = rng.random(200) < 0.7, rng.random(200) < 0.5
    one = drawn_by(bootstrap, right(first), right(second), ACCURACY, 8000, np.random.default_rng(3))
    five = drawn_by(
        bootstrap,
        right(*[first] * 5),
        right(*[second] * 5),
        ACCURACY,
        8000,
        np.random.default_rng(3),
    )
    assert five.std() == pytest.approx(one.std(), rel=1e-9)


def test_items_that_a_seed_lacks_add_nothing():
    first, second = right([1, 0, 1, 1]), right([0, 0, 1, 0])
    gone = np.zeros((1, 3, 2))
    with_gap = [np.concatenate([side, gone], axis=1) for side in (first, second)]
    assert (ACCURACY(with_gap[0].sum(1)) - ACCURACY(with_gap[1].sum(1))).tolist() == [0.5]
    assert drawn_by(bootstrap, *with_gap, ACCURACY, 4000, np.random.default_rng(0)).max() <= 1.0


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
    null = drawn_by(
        permuted, right(*first), right(*second), ACCURACY, 4000, np.random.default_rng(0)
    )
    assert p_value(null, observed) == pytest.approx(exact, abs=0.04)


def test_of_one_seed_the_permutation_test_is_mcnemars():
    first, second = np.array([1] * 11 + [0] * 3 + [1] * 20), np.array([0] * 11 + [1] * 3 + [1] * 20)
    null = drawn_by(
        permuted, right(first), right(second), ACCURACY, 20_000, np.random.default_rng(0)
    )
    assert p_value(null, 8 / 34) == pytest.approx(mcnemar(first > 0, second > 0), abs=0.01)


def test_permutation_of_a_metric_that_is_no_mean_agrees_with_scipy():
    rng = np.random.default_rng(5)
    gold = rng.normal(size=60)
    one, other = gold + rng.normal(size=60), gold + 2 * rng.normal(size=60)
    features, value = SUMMED["pearson"]
    null = drawn_by(
        permuted, features(gold, one, 0)[None], features(gold, other, 0)[None], value, 8000, rng
    )

    def difference(x, y):
        return np.corrcoef(gold, x)[0, 1] - np.corrcoef(gold, y)[0, 1]

    want = stats.permutation_test(
        (one, other),
        difference,
        permutation_type="samples",
        n_resamples=4000,
        rng=np.random.default_rng(1),
    )
    assert p_value(null, difference(one, other)) == pytest.approx(want.pvalue, abs=0.03)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(SUMMED)), seed=st.integers(0, 10**6))
def test_a_method_against_itself_differs_by_nothing(name, seed):
    rng = np.random.default_rng(seed)
    features, value = SUMMED[name]
    gold, answers = (
        (rng.normal(size=30), rng.normal(size=30))
        if name == "pearson"
        else rng.integers(2, size=(2, 30))
    )
    mine = np.stack([features(gold, answers, 2)] * 3)
    assert np.abs(drawn_by(bootstrap, mine, mine, value, 200, rng)).max() < 1e-12  # rounding
    assert p_value(drawn_by(permuted, mine, mine, value, 200, rng), 0.0) == 1.0
    assert mcnemar(answers > 0, answers > 0) == 1.0


def test_chunks_draw_as_many_as_asked(monkeypatch):
    monkeypatch.setattr("fewbench.report.statistics.resample.CHUNK", 25)
    side = right([1, 0, 1, 1, 0, 1, 0, 0, 1, 1])
    assert len(drawn_by(bootstrap, side, side, ACCURACY, 7, np.random.default_rng(0))) == 7
    assert len(drawn_by(permuted, side, side, ACCURACY, 7, np.random.default_rng(0))) == 7
