"""Every method against the conformance suite, and methods that break it."""

from __future__ import annotations

import pytest

from fewbench.registry.methods import methods, read_method
from fewbench.runner.toys import FORMS
from fewbench.store.artifacts import Artifacts
from fewbench.testing import (
    check_failure,
    check_method,
    check_predictor,
    check_runs,
    check_settings,
)
from fewbench.types import KINDS

HEAD = """
import numpy as np
from fewbench.types import Predictions

class Fair:
    def __init__(self, task):
        self.task = task
    def shares(self, examples):
        return np.full((len(examples), 3), 1 / 3, np.float32)
    def predict(self, examples):
        ids = tuple(e.id for e in examples)
        if self.task.is_regression:
            return Predictions(ids, values=self.shares(examples)[:, 0])
        return Predictions(ids, probabilities=self.shares(examples))
"""
FIT = "def fit(task, split, kit):\n    return {}(task)\n"


@pytest.fixture
def method(tmp_path):
    def make(body: str):
        file = tmp_path / "mine.py"
        file.write_text(HEAD + body, "utf-8")
        return read_method(file)

    return make


@pytest.mark.parametrize("name", methods())
def test_method_keeps_the_contract(name, tiny_model, inputs):
    check_method(methods()[name], tiny_model, inputs=inputs(name))


def test_a_fair_method_passes(method, tiny_model):
    check_method(method(FIT.format("Fair")), tiny_model)


SHARES = "class Bad(Fair):\n    def shares(self, e):\n        return {}\n"
ROLL = "np.random.default_rng().dirichlet((1, 1, 1), len(e)).astype(np.float32)"
MEDDLE = "class Bad(Fair):\n    def __init__(self, task):\n        self.task = task\n        {}\n"
TURNED = "class Bad(Fair):\n    def predict(self, e):\n        return super().predict(e[::-1])\n"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (SHARES.format(ROLL), "the same seed gave other"),
        (SHARES.format("np.ones((len(e), 3), np.float32)"), "add up to"),
        (SHARES.format("np.full((len(e), 2), 0.5, np.float32)"), "of shape"),
        (SHARES.format("np.full((len(e), 3), np.nan, np.float32)"), "not finite"),
        (
            MEDDLE.format("object.__setattr__(task, 'title', 'mine')"),
            "changed the task, split or protocol",
        ),
        (
            MEDDLE.format("object.__setattr__(task.sources[0], 'label', 'mine')"),
            "changed the task, split or protocol",
        ),
        (TURNED, "not for the examples asked for"),
    ],
)
def test_runs_that_break_the_contract(method, tiny_model, body, problem, tmp_path):
    with pytest.raises(AssertionError, match=problem):
        check_runs(method(body + FIT.format("Bad")), tiny_model, "single", Artifacts(tmp_path))


@pytest.mark.parametrize(
    ("shares", "problem"),
    [
        ("np.eye(3, dtype=np.float32)[[x.label or 0 for x in e]]", "change with the"),
        ("np.eye(3, dtype=np.float32)[[i % 3 for i in range(len(e))]]", "depend on the"),
        (
            "np.full((len(e), 3), 1 / 3, np.float32) if len(e) > 1 else np.eye(3, dtype=np.float32)[:1]",
            "on the batch",
        ),
    ],
)
def test_predictors_that_break_the_contract(method, tiny_model, shares, problem, tmp_path):
    with pytest.raises(AssertionError, match=problem):
        check_predictor(
            method(SHARES.format(shares) + FIT.format("Bad")),
            tiny_model,
            "single",
            Artifacts(tmp_path),
        )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("def fit(split, task, kit): ...\n", "first"),
        ("SEARCH = ('lr',)\n" + FIT.format("Fair"), "SEARCH names no setting"),
        (
            "PRESETS = {'big': {'lr': 1}}\n" + FIT.format("Fair"),
            "the preset 'big' names no setting",
        ),
        (
            "def fit(task, split, kit, *, lr=1.0): ...\nfit.__kwdefaults__['lr'] = 2.0\n",
            "its source says",
        ),
    ],
)
def test_sources_that_say_something_else(method, body, problem):
    with pytest.raises(AssertionError, match=problem):
        check_settings(method(body))


def test_a_method_that_swallows_any_setting(method, tiny_model, tmp_path):
    with pytest.raises(AssertionError, match="unknown setting succeeded"):
        check_failure(
            method("def fit(task, split, kit, **anything):\n    return Fair(task)\n"),
            tiny_model,
            Artifacts(tmp_path),
        )


def test_every_format_is_checked():
    assert set(FORMS) == set(KINDS) == {"single", "pair", "choice", "regression", "span"}
