"""Metrics of sums are the metrics themselves, on whole data and on any resample of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbench.data.metrics import METRICS
from fewbench.data.spans import SPAN_METRICS
from fewbench.report.statistics.sums import SUMMED


@pytest.mark.parametrize("name", sorted(set(SUMMED) - set(SPAN_METRICS)))
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(3, 40))
def test_a_metric_of_sums_is_the_metric_on_every_resample(name, seed, n):
    rng = np.random.default_rng(seed)
    classes = 2 if name == "f1" else int(rng.integers(2, 5))
    if name == "pearson":
        gold, answers = rng.uniform(0, 5, n), rng.uniform(0, 5, n)
    else:
        gold, answers = rng.integers(classes, size=n), rng.integers(classes, size=n)
    features, value = SUMMED[name]
    added = features(gold, answers, classes)
    drawn = rng.integers(n, size=(5, n))
    counts = np.stack([np.bincount(rows, minlength=n) for rows in drawn])
    want = [METRICS[name](gold[rows], answers[rows]) for rows in drawn]
    assert value(counts @ added) == pytest.approx(want, abs=1e-9)


def test_by_hand():
    gold, answers = np.array([1, 1, 0, 0, 1]), np.array([1, 0, 0, 1, 1])
    sums = {name: pair.features(gold, answers, 2).sum(0) for name, pair in SUMMED.items()}
    assert sums["accuracy"].tolist() == [3, 5]
    assert SUMMED["f1"].value(sums["f1"]) == pytest.approx(
        2 * 2 / (3 + 3)
    )  # 2 right of 3 answered and 3 gold
    # tp 2, tn 1, fp 1, fn 1: (2 - 1) / sqrt(3 * 3 * 2 * 2)
    assert SUMMED["mcc"].value(sums["mcc"]) == pytest.approx(1 / 6)


@pytest.mark.parametrize("name", ["mcc", "pearson"])
def test_constant_answers_score_zero(name):
    gold = np.array([0, 1, 1]) if name == "mcc" else np.array([0.1, 4.7, 2.2])
    features, value = SUMMED[name]
    assert value(features(gold, np.ones_like(gold), 2).sum(0)) == 0.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), positive=st.integers(0, 1))
def test_f1_is_of_the_positive_class(seed, positive):
    from sklearn.metrics import f1_score

    gold, answers = np.random.default_rng(seed).integers(2, size=(2, 12))
    features, value = SUMMED["f1"]
    want = f1_score(gold, answers, pos_label=positive, zero_division=0)
    assert value(features(gold, answers, 2, positive).sum(0)) == pytest.approx(want)
