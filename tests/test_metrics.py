"""Metrics against numbers worked by hand, and the holder of test labels."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fewbench.data.metrics import BOUNDS, METRICS, Scorer, check_metrics, score
from fewbench.data.spans import SPAN_METRICS
from fewbench.errors import BenchError, NeedsNetwork
from fewbench.testing import toy_rows, toy_task
from fewbench.types import Example, Predictions

GOLD = [1, 1, 1, 0, 0, 0, 0, 0]
ANSWERS = [1, 1, 0, 1, 0, 0, 0, 0]  # two hits, one miss, one false alarm, four right rejections


def as_probabilities(answers, classes=2) -> Predictions:
    array = np.full((len(answers), classes), 0.1, np.float32)
    array[np.arange(len(answers)), answers] = 0.9
    return Predictions(tuple(f"test-{i}" for i in range(len(answers))), probabilities=array)


def as_values(values) -> Predictions:
    return Predictions(
        tuple(f"test-{i}" for i in range(len(values))), values=np.array(values, np.float32)
    )


def one(metric, gold, predictions):
    kind = "regression" if predictions.values is not None else "single"
    return score(toy_task(kind, metric=metric), gold, predictions)[metric]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 6 / 8),
        ("f1", 2 * 2 / (2 * 2 + 1 + 1)),
        ("macro_f1", (4 / 6 + 8 / 10) / 2),
        ("mcc", (2 * 4 - 1 * 1) / np.sqrt(3 * 3 * 5 * 5)),
    ],
)
def test_classification_by_hand(metric, expected):
    assert one(metric, GOLD, as_probabilities(ANSWERS)) == pytest.approx(expected, abs=1e-12)


def test_macro_f1_of_three_classes_by_hand():
    gold, answers = [0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 0, 0]
    assert one("macro_f1", gold, as_probabilities(answers, 3)) == pytest.approx(
        (2 / 5 + 4 / 5 + 0) / 3
    )


@pytest.mark.parametrize(
    ("gold", "answers"), [([0, 1, 0], [1, 1, 1]), ([1, 1, 1], [0, 1, 1]), ([0, 0], [0, 0])]
)
def test_mcc_of_one_class_is_zero(gold, answers):
    assert one("mcc", gold, as_probabilities(answers)) == 0


def test_f1_without_any_hit_is_zero():
    assert one("f1", [1, 1, 0], as_probabilities([0, 0, 0])) == 0


def test_correlations_by_hand():
    gold, values = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 10.0]
    # deviations (-1.5 -.5 .5 1.5) and (-3 -2 -1 6): 4.5 + 1 - .5 + 9 = 14, over sqrt(5 * 50)
    assert one("pearson", gold, as_values(values)) == pytest.approx(14 / np.sqrt(250), abs=1e-6)
    assert one("spearman", gold, as_values(values)) == pytest.approx(1)
    assert one("spearman", gold, as_values([2, 1, 4, 3])) == pytest.approx(1 - 6 * 4 / (4 * 15))


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_correlation_of_a_constant_is_zero(metric):
    assert one(metric, [1.0, 2.0, 3.0], as_values([2.0, 2.0, 2.0])) == 0
    assert one(metric, [2.0, 2.0, 2.0], as_values([1.0, 2.0, 3.0])) == 0


def test_ties_go_to_the_first_class():
    predictions = Predictions(
        ("a", "b"), probabilities=np.array([[0.5, 0.5], [0.2, 0.8]], np.float32)
    )
    assert one("accuracy", [0, 1], predictions) == 1


def test_the_headline_comes_first_and_once():
    task = toy_task("single", metric="mcc", metrics=("f1", "mcc", "accuracy"))
    assert list(score(task, GOLD, as_probabilities(ANSWERS))) == ["mcc", "f1", "accuracy"]


@pytest.mark.parametrize(
    ("kind", "predictions"),
    [("single", as_values([0.0, 1.0])), ("regression", as_probabilities([0, 1]))],
)
def test_predictions_of_the_other_kind_are_refused(kind, predictions):
    with pytest.raises(BenchError, match="is scored from"):
        score(toy_task(kind), [0, 1], predictions)


def test_another_number_of_predictions_is_refused():
    with pytest.raises(BenchError, match="2 predictions for 3 labels"):
        score(toy_task("single"), [0, 1, 1], as_probabilities([0, 1]))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"probabilities": np.ones((2, 2), np.float32), "values": np.ones(2, np.float32)},
        {"probabilities": np.ones(2, np.float32)},
        {"values": np.ones((2, 1), np.float32)},
        {"values": np.ones(3, np.float32)},
        {"values": np.array([1, np.nan], np.float32)},
        {"probabilities": np.array([[1, 0], [0, np.inf]], np.float32)},
    ],
)
def test_predictions_that_do_not_fit_are_refused(arguments):
    with pytest.raises(ValueError, match="predictions"):
        Predictions(("a", "b"), **arguments)


def test_scorer_scores_the_test_examples_and_no_others():
    task = toy_task("single")
    rows = toy_rows(task)
    scorer = Scorer(task, rows.test)
    right = as_probabilities([e.label for e in rows.test], 3)
    assert scorer.score(right) == {"accuracy": 1.0}
    for ids in (right.ids[::-1], right.ids[:-1], tuple(f"dev-{i}" for i in range(9))):
        with pytest.raises(BenchError, match="not for the test examples"):
            scorer.score(Predictions(ids, probabilities=right.probabilities[: len(ids)]))


def test_scorer_refuses_rows_without_labels():
    rows = (Example("test-0", ("a",), 1), Example("test-1", ("b",)))
    with pytest.raises(BenchError, match="some test rows have no label"):
        Scorer(toy_task("single"), rows)


def test_a_metric_of_the_hub(monkeypatch):
    loaded = SimpleNamespace(
        compute=lambda references, predictions: {"other": 0.0, "mine": sum(references)}
    )
    monkeypatch.setitem(sys.modules, "evaluate", SimpleNamespace(load=lambda name: loaded))
    assert one("evaluate:mine", GOLD, as_probabilities(ANSWERS)) == 3
    someone = replace(toy_task("single"), metric="evaluate:someone/mine", metric_code=True)
    assert score(someone, GOLD, as_probabilities(ANSWERS)) == {"evaluate:someone/mine": 3}
    assert one("evaluate:unnamed", GOLD, as_probabilities(ANSWERS)) == 0


def test_a_metric_of_the_hub_while_offline(monkeypatch):
    def load(name):
        raise ConnectionError(name)

    monkeypatch.setitem(sys.modules, "evaluate", SimpleNamespace(load=load))
    with pytest.raises(NeedsNetwork) as caught:
        one("evaluate:mine", GOLD, as_probabilities(ANSWERS))
    assert "evaluate:mine" in str(caught.value) and all(
        name in str(caught.value) for name in METRICS
    )


def test_a_metric_of_the_hub_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "evaluate", None)
    with pytest.raises(BenchError) as caught:
        one("evaluate:mine", GOLD, as_probabilities(ANSWERS))
    assert "pip install 'fewbench[evaluate]'" in str(caught.value)


PATHS = (
    "./mine",
    "../x/mine",
    "mine.py",
    "folder/mine",
    "someone/mine",
    "/tmp/mine",
    "a/b/c",
    ".hidden",
    "..",
)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("headline", [True, False])
def test_a_metric_that_is_code_is_refused_before_evaluate_hears_of_it(monkeypatch, name, headline):
    monkeypatch.setitem(sys.modules, "evaluate", None)
    named = {"metric": f"evaluate:{name}"} if headline else {"metrics": (f"evaluate:{name}",)}
    task = replace(toy_task("single"), file="tasks.toml", **named)
    with pytest.raises(BenchError, match="is a script") as caught:
        score(task, GOLD, as_probabilities(ANSWERS))
    assert "tasks.toml" in str(caught.value) and "--allow-metric-code" in str(caught.value)
    check_metrics(replace(task, metric_code=True))


def test_every_metric_of_our_own_has_bounds_and_a_perfect_answer_reaches_the_upper():
    assert set(BOUNDS) == {*METRICS, *SPAN_METRICS}
    gold = np.array([0, 1, 1, 0])
    assert {name: METRICS[name](gold, gold) for name in METRICS} == pytest.approx(
        {name: BOUNDS[name][1] for name in METRICS}
    )
