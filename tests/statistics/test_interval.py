"""The t-test of seeds against a floor, beside SciPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from fewbench.report.statistics.interval import p_above


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize("floor", [0.0, 0.5, 5.0, 0.62])
def test_p_above_is_scipys(n, floor):
    scores = [float(score) for score in np.random.default_rng(n).normal(0.6, 0.05, n)]
    expected = ttest_1samp(scores, floor, alternative="greater").pvalue
    assert p_above(scores, floor) == pytest.approx(expected, rel=1e-9, abs=1e-15)
