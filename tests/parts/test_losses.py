"""Losses against numbers worked by hand."""

from __future__ import annotations

from math import log

import pytest
import torch

from fewbench.nn.losses import bounded_mse, cross_entropy, interpolation_kl, weighted_average

SCORES = torch.tensor(
    [[log(1.0), log(3.0)], [log(4.0), log(1.0)]]
)  # softmax: (1/4, 3/4) and (4/5, 1/5)


def test_cross_entropy():
    loss = cross_entropy(SCORES, torch.tensor([1, 1]))
    assert float(loss) == pytest.approx(-(log(3 / 4) + log(1 / 5)) / 2, abs=1e-6)


def test_interpolation_kl():
    loss = interpolation_kl(
        SCORES, torch.tensor([2.5, 1.0]), (0.0, 5.0)
    )  # gold (1/2, 1/2) and (4/5, 1/5)
    first = 0.5 * log(0.5 / 0.25) + 0.5 * log(0.5 / 0.75)
    assert float(loss) == pytest.approx((first + 0.0) / 2, abs=1e-6)


def test_interpolation_kl_with_other_bounds():
    loss = interpolation_kl(
        SCORES[:1], torch.tensor([2.0]), (1.0, 5.0)
    )  # gold (3/4, 1/4) against (1/4, 3/4)
    assert float(loss) == pytest.approx(0.75 * log(3) - 0.25 * log(3), abs=1e-6)


@pytest.mark.parametrize(("value", "expected"), [(0.0, -log(1 / 4)), (5.0, -log(3 / 4))])
def test_interpolation_kl_is_finite_at_the_bounds(value, expected):
    scores = SCORES[:1].clone().requires_grad_()
    loss = interpolation_kl(scores, torch.tensor([value]), (0.0, 5.0))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-6)
    gold = torch.tensor([[1 - value / 5, value / 5]])
    torch.testing.assert_close(
        scores.grad, torch.tensor([[0.25, 0.75]]) - gold
    )  # softmax minus gold


def test_interpolation_kl_is_zero_at_the_answer_alone():
    answer = torch.tensor([3.75, 1.0])
    assert float(interpolation_kl(SCORES, answer, (0.0, 5.0))) == pytest.approx(0, abs=1e-6)
    assert float(interpolation_kl(SCORES, answer + 0.5, (0.0, 5.0))) > 1e-3


def test_bounded_mse():
    loss = bounded_mse(
        torch.tensor([0.5, 1.0]), torch.tensor([1.0, 3.0]), (1.0, 5.0)
    )  # gold 0 and 1/2
    assert float(loss) == pytest.approx((0.25 + 0.25) / 2)


def test_weighted_average():
    """Eq. 3.6 with three layers: (1 * 6 + 2 * 3 + 3 * 2) / 6."""
    each = torch.tensor([6.0, 3.0, 2.0])
    assert float(weighted_average(each, torch.tensor([1, 2, 3]))) == pytest.approx(3.0)
    assert float(weighted_average(each, torch.tensor([0, 1, 0]))) == pytest.approx(3.0)
    assert float(weighted_average(each, torch.tensor([2.0, 2.0, 2.0]))) == pytest.approx(11 / 3)
