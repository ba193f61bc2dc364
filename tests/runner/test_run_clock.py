"""The time of a run that was killed is that of one which was not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from fewbench.runner import run_clock
from fewbench.runner.run_clock import RunClock, Spent
from fewbench.runner.watched import TrainingWatch, WatchedCheckpoints
from fewbench.store.artifacts import Artifacts


@pytest.fixture
def passes(monkeypatch):
    """Let time pass, by the clock and of the processor."""
    now = [1000.0, 10.0]
    times = SimpleNamespace(perf_counter=lambda: now[0], process_time=lambda: now[1])
    monkeypatch.setattr(run_clock, "time", times)

    def passed(seconds: float, processor: float) -> None:
        now[0] += seconds
        now[1] += processor

    return passed


def test_it_counts_both(passes):
    clock = RunClock()
    passes(60, 20)
    assert clock.spent() == Spent(60, 20)


def test_it_goes_on_from_the_checkpoint(passes):
    clock = RunClock()
    passes(5, 4)  # done again, since its checkpoint was of later
    clock.go_on_from(Spent(60, 20))
    passes(40, 30)
    assert clock.spent() == Spent(100, 50)
    clock.go_on_from(Spent(30, 10))  # of before
    assert clock.spent() == Spent(100, 50)


def test_a_checkpoint_holds_the_time(passes, tmp_path):
    def checkpoints(clock: RunClock) -> WatchedCheckpoints:
        given = (Artifacts(tmp_path), "key", torch.device("cpu"), 0.0, TrainingWatch(None, 1))
        return WatchedCheckpoints(*given, clock)

    clock = RunClock()
    passes(60, 20)
    checkpoints(clock).write("key-0-1", {"step": 3}, {"weight": torch.ones(1)})
    again = RunClock()
    state = checkpoints(again).read("key-0-1")
    assert state is not None and state.facts == {"step": 3}
    assert again.spent() == Spent(60, 20)
