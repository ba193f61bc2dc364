"""Exit rules against the thesis's counter, worked by hand and counted step by step."""

from __future__ import annotations

import math

import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.exit_rules import (
    Confidence,
    Depth,
    Entropy,
    Patience,
    at_exits,
    exit_layers,
    rules_to_try,
    summary,
)
from fewbench.testing import toy_task


def classes(*rows: str) -> torch.Tensor:
    """One text an example, one digit a layer: the predicted class; [L, B, 3]."""
    table = torch.tensor([[int(digit) for digit in row] for row in rows]).T
    return torch.nn.functional.one_hot(table, 3).float() * 0.6 + 0.4 / 3


def counted(predictions: list, t: int, same) -> int:
    """The layer of exit by eq. 3.2 and 3.3 as they stand: a counter, reset where the prediction
    changes.
    """
    count = 0
    for layer, prediction in enumerate(predictions):
        count = count + 1 if layer and same(predictions[layer - 1], prediction) else 0
        if count == t:
            return layer + 1
    return len(predictions)


def test_the_patience_counter_by_hand():
    """0 0 1 1 1 2: the counters are 0 1 0 1 2 0."""
    answers = classes("001112")
    assert [int(exit_layers(Patience(t), answers)) for t in range(7)] == [1, 2, 5, 6, 6, 6, 6]


def test_patience_against_the_counter():
    generator = torch.Generator().manual_seed(1)
    table = torch.randint(0, 2, (8, 300), generator=generator)
    answers = torch.nn.functional.one_hot(table, 3).float()
    for t in range(9):
        expected = [counted(row, t, lambda a, b: a == b) for row in table.T.tolist()]
        assert exit_layers(Patience(t), answers).tolist() == expected


def test_regression_by_hand():
    """Differences of 0.25, 0.05, -0.02, -1: a fall is a change too, though eq. 3.3 as printed has
    no absolute value.
    """
    values = torch.tensor([[1.0, 1.25, 1.3, 1.28, 0.28]]).T
    assert [int(exit_layers(Patience(t, 0.1), values)) for t in range(5)] == [1, 3, 4, 5, 5]
    assert int(exit_layers(Patience(1, 0.01), values)) == 5
    assert (
        int(exit_layers(Patience(1, 0.25), values)) == 3
    )  # a difference of tau itself is a change
    falling = torch.tensor([[3.0, 2.0, 1.0, 0.0]]).T
    assert int(exit_layers(Patience(1, 0.1), falling)) == 4


def test_regression_against_the_counter():
    values = torch.rand(7, 200, generator=torch.Generator().manual_seed(2))
    for t in range(8):
        expected = [counted(row, t, lambda a, b: abs(b - a) < 0.3) for row in values.T.tolist()]
        assert exit_layers(Patience(t, 0.3), values).tolist() == expected


def test_more_patience_never_leaves_earlier():
    answers = torch.rand(6, 100, 3, generator=torch.Generator().manual_seed(3))
    exits = torch.stack([exit_layers(Patience(t), answers) for t in range(7)])
    assert (exits.diff(dim=0) >= 0).all()
    assert (exits[0] == 1).all()
    assert (exits[-2:] == 6).all()


def test_layers_that_all_agree_leave_at_patience_plus_one():
    answers = classes("2222", "0000")
    assert [exit_layers(Patience(t), answers).tolist() for t in range(5)] == [
        [1, 1],
        [2, 2],
        [3, 3],
        [4, 4],
        [4, 4],
    ]


def test_layers_that_never_agree_leave_at_the_last():
    answers = classes("0101")
    assert [int(exit_layers(Patience(t), answers)) for t in range(5)] == [1, 4, 4, 4, 4]


def test_thresholds_by_hand():
    answers = torch.tensor([[[0.5, 0.5]], [[0.75, 0.25]], [[0.95, 0.05]]])
    at_three_quarters = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert int(exit_layers(Entropy(at_three_quarters + 1e-4), answers)) == 2
    assert int(exit_layers(Entropy(at_three_quarters - 1e-4), answers)) == 3
    assert (
        int(exit_layers(Confidence(0.75), answers)) == 2
    )  # as confident as the threshold is confident enough
    assert int(exit_layers(Confidence(0.76), answers)) == 3
    assert int(exit_layers(Confidence(0.5), answers)) == 1
    certain = torch.tensor([[[1.0, 0.0]], [[0.5, 0.5]]])
    assert int(exit_layers(Entropy(0.1), certain)) == 1  # 0 log 0 is 0


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_fixed_depth(depth):
    answers = classes("012", "222")
    assert exit_layers(Depth(depth), answers).tolist() == [depth, depth]


def test_answers_at_the_exits():
    answers = torch.arange(12.0).view(3, 4)
    assert at_exits(answers, torch.tensor([1, 3, 2, 1])).tolist() == [0.0, 9.0, 6.0, 3.0]


def test_summary_by_hand():
    """Four examples over six layers: 1 + 3 + 3 + 5 = 12 layers run, 3 each."""
    said = summary(torch.tensor([1, 3, 3, 5]), 6)
    assert said == {
        "layers": 6,
        "left_by": [1, 0, 2, 0, 1, 0],
        "mean_layers": 3.0,
        "speed_up": 2.0,
        "saving": 0.5,
    }


def test_what_is_tried_when_nothing_is_given():
    task = toy_task("single")
    assert rules_to_try(task, 3, "patience") == [Patience(t) for t in range(4)]
    assert rules_to_try(task, 3, "depth") == [Depth(d) for d in (1, 2, 3)]
    entropies = [rule.threshold for rule in rules_to_try(task, 3, "entropy")]
    assert len(entropies) == 9 and 0 < min(entropies) and max(entropies) < math.log(3)
    confidences = [rule.threshold for rule in rules_to_try(task, 3, "confidence")]
    assert len(confidences) == 9 and 1 / 3 < min(confidences) and max(confidences) < 1


def test_what_is_given_is_taken():
    task = toy_task("single")
    assert rules_to_try(task, 3, "patience", patience=2, tau=0.5) == [Patience(2, 0.5)]
    assert rules_to_try(task, 3, "entropy", threshold=0.3) == [Entropy(0.3)]
    assert rules_to_try(task, 3, "confidence", threshold=0.9) == [Confidence(0.9)]
    assert rules_to_try(toy_task("regression"), 3, "depth", depth=3) == [Depth(3)]


@pytest.mark.parametrize(
    ("kind", "rule", "given", "problem"),
    [
        ("single", "patient", {}, "no such exit rule: 'patient'"),
        ("single", "patience", {"patience": 4}, "patience=4, and the model has 3 layers"),
        ("single", "patience", {"patience": -1}, "patience=-1"),
        ("single", "patience", {"patience": 1.5}, "patience=1.5"),
        ("single", "depth", {"depth": 0}, "depth=0"),
        ("single", "depth", {"depth": 4}, "depth=4, and the model has 3 layers"),
        ("single", "entropy", {"patience": 2}, "the rule 'entropy' takes no patience"),
        ("single", "patience", {"threshold": 0.5}, "the rule 'patience' takes no threshold"),
        ("single", "confidence", {"threshold": "high"}, "threshold='high'"),
        ("regression", "entropy", {}, "toy-regression@toy is a regression"),
        ("regression", "confidence", {"threshold": 0.9}, "toy-regression@toy is a regression"),
    ],
)
def test_what_cannot_be(kind, rule, given, problem):
    with pytest.raises(BenchError, match=problem) as caught:
        rules_to_try(toy_task(kind), 3, rule, **given)
    assert caught.value.fix or caught.value.allowed


def test_no_rule_looks_ahead_where_none_can_leave():
    """By 0 1 1 1 the counters are 0 0 1 2: with t = 2 only layer 4 can follow a counter of 1."""
    answers = list(classes("0111"))
    assert [Patience(2).may_leave(answers[:n]) for n in range(4)] == [False, False, False, True]
    assert [Patience(1).may_leave(answers[:n]) for n in range(4)] == [False, True, True, True]
    assert [Patience(0).may_leave(answers[:n]) for n in range(2)] == [True, True]
    assert [Depth(3).may_leave(answers[:n]) for n in range(4)] == [False, False, True, True]
    assert Entropy(0.1).may_leave(answers[:1])
    assert Confidence(0.1).may_leave(answers[:1])


def test_none_leaves_that_could_not():
    generator = torch.Generator().manual_seed(2)
    table = torch.randint(0, 2, (8, 50), generator=generator)
    answers = list(torch.nn.functional.one_hot(table, 3).float())
    for rule in [*map(Patience, range(9)), *map(Depth, range(1, 9))]:
        for layer in range(8):
            assert rule.may_leave(answers[:layer]) or not rule(answers[: layer + 1]).any()
