"""McNemar, Holm, Hedges' g and the tally, by hand and against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewbench.report.statistics.paired import Tally, hedges, holm, mcnemar, tally


def test_mcnemar_by_hand():
    # 5 items only the first gets, 1 only the second: 2 (C(6,0) + C(6,1)) / 2^6
    first, second = np.array([1] * 5 + [0] + [1] * 4, bool), np.array([0] * 5 + [1] + [1] * 4, bool)
    assert mcnemar(first, second) == pytest.approx(2 * 7 / 64)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_holm_by_hand():
    # .01 x 4, .02 x 3, .03 x 2 (below .06, so .06), .5 x 1
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_p_and_bonferroni_and_keeps_the_order(ps):
    adjusted = holm(ps)
    assert all(
        p <= a + 1e-12 and a <= min(1.0, len(ps) * p) + 1e-12
        for p, a in zip(ps, adjusted, strict=True)
    )
    in_order = [adjusted[place] for place in np.argsort(ps, kind="stable")]
    assert in_order == sorted(in_order)


def test_holm_rejects_what_the_step_down_rule_rejects():
    rng = np.random.default_rng(0)
    for _ in range(50):
        ps = rng.random(6) ** 3
        want = set()
        for step, place in enumerate(np.argsort(ps)):
            if ps[place] > 0.05 / (6 - step):
                break
            want.add(int(place))
        assert {place for place, p in enumerate(holm(ps)) if p <= 0.05} == want


def test_hedges_by_hand():
    # d = 2 / 1 with three seeds; J(2) = gamma(1) / (sqrt(1) gamma(1/2)) = 1 / sqrt(pi)
    assert hedges([1.0, 2.0, 3.0]) == pytest.approx(2 / math.sqrt(math.pi))
    assert hedges([1.0, 2.0]) is None and hedges([0.5] * 5) is None


def test_hedges_is_unbiased():
    rng = np.random.default_rng(0)
    found = [hedges(list(rng.normal(0.5, 1, size=4))) for _ in range(6000)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.04)


def test_tally():
    assert tally([0.1, -0.2, 0.0, 1e-15, 0.3]) == Tally(2, 2, 1) and str(Tally(2, 2, 1)) == "2/2/1"


def test_mcnemar_is_the_binomial_test():
    rng = np.random.default_rng(1)
    first, second = rng.random((2, 300)) < 0.5
    only = int((first & ~second).sum())
    expected = stats.binomtest(only, int((first ^ second).sum())).pvalue
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-12)
