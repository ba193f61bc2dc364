"""Ranks over tasks: the worked example of Demšar (2006) and SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from fewbench.report.statistics.ranks import (
    critical_difference,
    fewest_tasks,
    friedman,
    groups,
    rank,
)


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_values_are_those_of_demsars_table_5a(k, q):
    assert critical_difference(k, 14) == pytest.approx(
        q * np.sqrt(k * (k + 1) / (6 * 14)), abs=2e-3
    )


def test_demsars_example():
    # Section 3.2.3: four classifiers, 14 data sets, CD 1.25
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    # its average ranks 1.964, 2.000, 2.893, 3.143 all lie within 1.25 of each other
    assert groups([1.964, 2.000, 2.893, 3.143], 1.25) == ((0, 3),)


def test_average_ranks_by_hand():
    # Per task: 1 2 3, then 1.5 1.5 3, then 2 1 3
    scores = np.array([[0.9, 0.8, 0.1], [0.5, 0.5, 0.2], [0.3, 0.4, 0.1]])
    found = rank(["a", "b", "c"], scores)
    assert found.methods == ("a", "b", "c") and found.tasks == 3
    assert found.ranks == pytest.approx((1.5, 1.5, 3.0))


def test_friedman_is_iman_and_davenports_f_of_scipys_statistic():
    scores = np.random.default_rng(0).random((9, 4)) + np.array([0, 0.1, 0.2, 0.5])
    chi = stats.friedmanchisquare(*scores.T).statistic
    f = 8 * chi / (9 * 3 - chi)
    assert friedman(scores) == pytest.approx(stats.f.sf(f, 3, 24))
    assert friedman(np.ones((5, 3))) == 1.0 and friedman(scores[:1]) == 1.0


@pytest.mark.parametrize(("tasks", "methods"), [(2, 2), (5, 2), (3, 3)])
def test_tasks_that_agree_tell_no_more_than_how_often_chance_makes_them_agree(tasks, methods):
    orders = list(itertools.permutations(range(methods)))
    alike = (
        sum(len(set(drawn)) == 1 for drawn in itertools.product(orders, repeat=tasks))
        / len(orders) ** tasks
    )
    assert friedman(np.tile(np.arange(methods) / 10, (tasks, 1))) == pytest.approx(alike)


def test_groups_are_the_largest_runs_within_the_critical_difference():
    assert groups([1.0, 1.5, 2.2, 4.0], 1.0) == ((0, 1), (1, 2))
    assert groups([1.0, 3.0], 1.0) == ()


def test_pairs_are_told_apart_only_where_not_all_rank_alike():
    # Demšar, section 3.2.2: the second test follows if the first rejects
    four = rank(["a", "b"], np.tile([0.2, 0.1], (4, 1)))
    assert four.friedman == pytest.approx(1 / 8) and four.critical < 1
    assert four.groups == ((0, 1),)
    six = rank(["a", "b"], np.tile([0.2, 0.1], (6, 1)))
    assert six.friedman < 0.05 and six.groups == ()


@pytest.mark.parametrize("methods", range(2, 9))
def test_from_the_fewest_tasks_on_those_that_agree_tell_the_first_from_the_last(methods):
    names = [str(number) for number in range(methods)]
    for tasks in range(2, 9):
        found = rank(names, np.tile(np.arange(methods) / 10, (tasks, 1)))
        apart = (0, methods - 1) not in found.groups
        assert apart == (tasks >= fewest_tasks(methods))
