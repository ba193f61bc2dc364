"""Losses are read in stretches; one that is not finite is told with its update."""

from __future__ import annotations

import math

import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn import loss_log
from fewbench.nn.loss_log import LossLog


def test_all_losses_come_back_in_order():
    log = LossLog()
    losses = [float(number) for number in range(2 * loss_log.TOGETHER + 3)]
    for loss in losses:
        log.note(torch.tensor(loss, requires_grad=True))
    assert log.values() == losses
    assert log.values() == losses
    assert LossLog().values() == []


def test_a_loss_that_is_not_finite_ends_the_training_within_a_stretch():
    log = LossLog("--lr 1e-4")
    log.note(torch.tensor(1.0))
    log.note(torch.tensor(float("nan")))
    with pytest.raises(BenchError, match="the loss is nan at update 2") as raised:
        for _ in range(loss_log.TOGETHER):
            log.note(torch.tensor(1.0))
    assert raised.value.fix == "--lr 1e-4"


@pytest.mark.parametrize("bad", [3, 2 * loss_log.TOGETHER + 2])
def test_each_loss_is_looked_at_once_and_the_first_bad_one_is_named(bad, monkeypatch):
    """Also where it is in a later stretch, and asked for again."""
    seen = []
    monkeypatch.setattr(loss_log, "isfinite", lambda loss: seen.append(loss) or math.isfinite(loss))
    log = LossLog()
    with pytest.raises(BenchError, match=f"the loss is inf at update {bad}\n"):
        for update in range(1, 3 * loss_log.TOGETHER + 1):
            log.note(torch.tensor(float("inf") if update >= bad else float(update)))
    assert seen == [*map(float, range(1, bad)), float("inf")]
    with pytest.raises(BenchError, match=f"at update {bad}\n"):
        log.values()
