"""A difference over tasks, seeds and items, against SciPy and arithmetic by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewbench.report.statistics.crossed import LEVEL, Paired, estimate, least_seeds, pairs_of_runs


def row(differences, seeds=None, **more):
    return Paired(tuple(seeds or range(len(differences))), np.asarray(differences, float), **more)


def test_seeds_alone_are_the_paired_t_test():
    values = [0.1, 0.3, -0.05, 0.2, 0.12]
    found, want = estimate([[row(values)]]), stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(want.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(want.confidence_interval()))


def test_rows_of_one_task_are_averaged_before_anything_else():
    rows = np.array([[0.1, 0.3, -0.05, 0.2], [0.2, 0.1, 0.0, 0.4], [0.3, 0.2, 0.1, 0.1]])
    assert estimate([[row(each) for each in rows]]) == pytest.approx(
        estimate([[row(rows.mean(0))]])
    )
    assert pairs_of_runs([[row(each) for each in rows]]) == 4


def test_copies_of_a_task_under_other_k_say_no_more_and_other_tasks_do():
    one = row([0.1, 0.3, -0.05, 0.2, 0.12])
    assert estimate([[one] * 12]) == pytest.approx(estimate([[one]]))
    assert estimate([[one]] * 4).p < estimate([[one]]).p
    assert pairs_of_runs([[one]] * 4) == 20


def test_items_add_their_variance_and_are_drawn_together():
    rng = np.random.default_rng(0)
    drawn, null = rng.normal(0.1, 0.05, 4000), rng.normal(0, 0.05, 4000)
    fixed = row([0.1] * 5, resampled=drawn, null=null, fixed=True)
    found = estimate([[fixed]])
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * drawn.std(), rel=0.001)
    assert estimate([[fixed, fixed]]) == pytest.approx(found)
    assert pairs_of_runs([[fixed]]) == 1 == least_seeds([[fixed]])


def test_one_seed_says_nothing_of_others():
    found = estimate([[row([0.1])]])
    assert math.isnan(found.p) and math.isnan(found.low)


def test_where_nothing_varies_all_seeds_lie_on_one_side():
    assert estimate([[row([0.1] * 5)]]).p == 2**-4
    assert estimate([[row([0.0] * 5)]]).p == 1


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    tasks=st.integers(1, 4),
    rows=st.integers(1, 4),
    seeds=st.integers(2, 6),
)
def test_p_below_the_level_means_an_interval_without_zero(seed, tasks, rows, seeds):
    rng = np.random.default_rng(seed)

    def some():
        differences = rng.normal(rng.normal(0, 0.1), 0.05, seeds)
        spread = rng.uniform(0, 0.05)
        return row(
            differences, resampled=rng.normal(0, spread, 200), null=rng.normal(0, spread, 200)
        )

    found = estimate([[some() for _ in range(rows)] for _ in range(tasks)])
    assert found.low <= found.difference <= found.high
    assert found.p >= LEVEL or not found.low <= 0 <= found.high
