"""Our distributions and ranks against those of `scipy.stats`."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from fewbench.report.statistics.distributions import (
    f_upper,
    fair_coin,
    range_limit,
    row_ranks,
    t_limit,
    t_upper,
)

same = pytest.approx


@pytest.mark.parametrize("freedom", [1, 2, 4, 6.7, 250.3, math.inf])
def test_students_t(freedom):
    for statistic in (-30.0, -2.5, 0.0, 0.3, 2.1, 40.0):
        assert t_upper(statistic, freedom) == same(stats.t.sf(statistic, freedom), rel=1e-12)
    for share in (1e-4, 0.025, 0.3, 0.5, 0.9):
        assert t_limit(share, freedom) == same(stats.t.isf(share, freedom), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("above", "below"), [(1, 1), (3, 24), (11, 40)])
def test_f(above, below):
    for statistic in (0.0, 0.4, 3.7, 90.0):
        assert f_upper(statistic, above, below) == same(
            stats.f.sf(statistic, above, below), rel=1e-12
        )


@pytest.mark.parametrize(("heads", "tosses"), [(0, 1), (3, 6), (2, 9), (7, 9), (480, 1000)])
def test_a_fair_coin(heads, tosses):
    assert fair_coin(heads, tosses) == same(stats.binomtest(heads, tosses).pvalue, rel=1e-12)
    assert fair_coin(0, 0) == 1.0


@pytest.mark.parametrize("k", [2, 3, 10, 40])
def test_the_range_of_normals(k):
    expected = stats.studentized_range.ppf(0.95, k, np.inf)
    assert range_limit(0.05, k) == same(expected, rel=1e-12)


def test_ranks_of_ties():
    values = np.random.default_rng(0).integers(0, 4, (6, 7)).astype(float)
    assert (row_ranks(values) == stats.rankdata(values, axis=1)).all()


def test_a_comparison_does_not_import_scipys_stats():
    code = (
        "import sys\n"
        "from fewbench.report.statistics.interval import interval\n"
        "from fewbench.report.statistics.ranks import rank\n"
        "import numpy as np\n"
        "interval([0.1, 0.2, 0.4]), rank(['a', 'b'], np.eye(2))\n"
        "assert 'scipy.special' in sys.modules and 'scipy.stats' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
