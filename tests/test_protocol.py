"""Protocols: the published constants, the grid, ties."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fewbench.errors import BenchError
from fewbench.protocol import better, get_protocol, protocols


def test_lm_bff_constants():
    protocol = get_protocol("lm-bff-v1")
    assert protocol.k == 16
    assert sorted(protocol.seeds) == [13, 21, 42, 87, 100]
    assert protocol.grid == {"lr": (1e-5, 2e-5, 5e-5), "batch_size": (2, 4, 8)}
    assert (protocol.max_steps, protocol.eval_every, protocol.eval_batch_size) == (1000, 100, 16)
    assert (protocol.schedule, protocol.warmup_steps, protocol.weight_decay) == ("linear", 0, 0.0)
    assert (protocol.max_grad_norm, protocol.checkpoint_tie, protocol.trial_tie) == (1.0, "first", "first")
    assert protocol.ddof == 0


def test_every_protocol_can_be_run():
    for name, protocol in protocols().items():
        assert protocol.name == name and protocol.title and protocol.paper
        assert 0 < protocol.eval_every <= protocol.max_steps
        assert protocol.schedule in ("linear", "constant")
        assert {protocol.checkpoint_tie, protocol.trial_tie} <= {"first", "last"}
        assert len(set(protocol.seeds)) == len(protocol.seeds) > 0
        assert all(protocol.grid.values())


def test_trials_walk_the_grid_in_its_order():
    protocol = get_protocol("lm-bff-v1")
    trials = protocol.trials(("batch_size", "lr"), {})
    assert trials[:4] == [
        {"lr": 1e-5, "batch_size": 2},
        {"lr": 1e-5, "batch_size": 4},
        {"lr": 1e-5, "batch_size": 8},
        {"lr": 2e-5, "batch_size": 2},
    ]
    assert len(trials) == 9


def test_trials_leave_out_what_is_fixed_or_not_searched():
    protocol = get_protocol("lm-bff-v1")
    assert protocol.trials(("lr", "batch_size"), {"lr": 1.0}) == [{"batch_size": size} for size in (2, 4, 8)]
    assert protocol.trials(("lr", "alpha"), {}) == [{"lr": lr} for lr in (1e-5, 2e-5, 5e-5)]
    assert protocol.trials((), {}) == [{}]
    assert protocol.trials(("lr",), {"lr": 1.0}) == [{}]


def test_a_shorter_grid_for_methods_with_a_trained_teacher():
    protocol = replace(get_protocol("lm-bff-v1"), grid_taught={"lr": (2e-5,)})
    assert protocol.trials(("lr", "batch_size"), {}, taught=True) == [
        {"lr": 2e-5, "batch_size": size} for size in (2, 4, 8)
    ]
    assert len(protocol.trials(("lr", "batch_size"), {})) == 9
    taught = {name for name, protocol in protocols().items() if protocol.grid_taught}
    assert taught == {"quick"}  # a paper's grid is every method's


@pytest.mark.parametrize(
    ("score", "best", "tie", "wins"),
    [
        (-1.0, None, "first", True),
        (0.5, 0.5, "first", False),
        (0.5, 0.5, "last", True),
        (0.6, 0.5, "first", True),
        (0.4, 0.5, "last", False),
    ],
)
def test_better(score, best, tie, wins):
    assert better(score, best, tie) is wins


def test_an_unknown_protocol_names_the_nearest():
    with pytest.raises(BenchError, match="unknown protocol 'quik'") as caught:
        get_protocol("quik")
    assert caught.value.nearest == ["quick"]


def test_a_methods_own_values_vary_slowest_and_the_preferred_one_wins_a_tie():
    protocol = get_protocol("lm-bff-v1")
    own = {"k": (4, 2, 1)}
    trials = protocol.trials(("lr", "k"), {"batch_size": 2}, own)
    assert trials[:4] == [*({"k": 4, "lr": lr} for lr in (1e-5, 2e-5, 5e-5)), {"k": 2, "lr": 1e-5}]
    assert len(trials) == 9
    assert [trial["k"] for trial in replace(protocol, trial_tie="last").trials(("k",), {}, own)] == [1, 2, 4]
    assert protocol.trials(("k",), {"k": 2}, own) == protocol.trials((), {}, own) == [{}]


def test_ppt_constants():
    """ppt.md appendix C and `protocols.md` K: 50 epochs of 32 examples in batches of 16."""
    protocol = get_protocol("ppt-v1")
    assert protocol.max_steps == 50 * 32 // 16 and protocol.k * 2 == 32
    assert protocol.seeds == (10, 20, 30, 40, 50)
    assert protocol.grid == {"lr": (2e-4, 5e-4, 1e-3), "batch_size": (16,)}
    assert (protocol.eval_every, protocol.schedule, protocol.warmup_steps) == (6, "constant", 0)
    assert protocol.weight_decay == 1e-2
