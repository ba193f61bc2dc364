"""The firewall: from what a method is handed, no test label can be reached."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType, SimpleNamespace

import pytest
import torch

from fewbench.data.metrics import Scorer
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import read_method
from fewbench.runner.jobs import Job
from fewbench.runner.run import carry_out
from fewbench.testing import toy_job, toy_rows, toy_task
from fewbench.types import KINDS, Example

SPY = '''
"""Hands the test what it was handed, and what its predictor was asked."""
from fewbench_spy import seen
from pathlib import Path
import numpy as np
from fewbench.types import Predictions

NEEDS = ("student", "teacher")
KINDS = ("single", "pair", "choice", "regression", "span")

class Spy:
    def __init__(self, task):
        self.task = task
    def predict(self, examples):
        seen.append(("predict", examples))
        ids = tuple(e.id for e in examples)
        if self.task.format == "span":
            return Predictions(ids, spans=np.zeros((len(ids), 2), np.int32))
        if self.task.is_regression:
            return Predictions(ids, values=np.arange(len(ids), dtype=np.float32))
        return Predictions(ids, probabilities=np.full((len(ids), 3), 1 / 3, np.float32))

def fit(task, split, kit):
    from fewbench.nn.prompt import PromptModel
    from fewbench.nn.span_model import SpanModel
    model = SpanModel if task.format == "span" else PromptModel
    model(kit.backbone("student"), task).predict(split.test)  # fills every cache there is
    kit.backbone("teacher")
    seen.append(("fit", (task, split, kit)))
    return Spy(task)
'''


def reachable(roots: Iterable[object]) -> list[object]:
    """Return all objects that references lead to.

    Classes, modules and the globals of functions are left out: through them Python reaches all of a
    process, frames of the runner too. The firewall keeps labels from honest code, not from code
    that goes looking in the interpreter."""
    seen: dict[int, object] = {}
    waiting = list(roots)
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, (type, ModuleType, BuiltinFunctionType)):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, FunctionType):
            waiting += [thing.__closure__, thing.__defaults__, thing.__kwdefaults__]
        else:
            waiting += gc.get_referents(thing)
    return list(seen.values())


def leaks(roots: Iterable[object], job: Job, rows: tuple[Example, ...]) -> list[object]:
    texts = {example.texts for example in rows}
    found: list[object] = []
    for thing in reachable(roots):
        labelled = isinstance(thing, Example) and (thing.label is not None or thing.answers)
        of_test = labelled and (thing.id.startswith("test-") or thing.texts in texts)
        if of_test or thing is rows or isinstance(thing, (Scorer, Job)):
            found.append(thing)
    return found


@pytest.fixture
def spied(tiny_model, tmp_path, monkeypatch):
    """Run the spy on a task; return what it saw, the job, and the labelled test rows."""

    def run(kind):
        seen: list = []
        monkeypatch.setitem(sys.modules, "fewbench_spy", SimpleNamespace(seen=seen))
        file = tmp_path / "spy.py"
        file.write_text(SPY, "utf-8")
        job = toy_job(read_method(file), tiny_model, toy_task(kind))
        record, _ = carry_out(job, Models(torch.device("cpu")), 1)
        assert record.status == "ok", record.error
        handed = [what for name, what in seen if name == "fit"]
        asked = [what for name, what in seen if name == "predict"]
        return handed, asked, job, toy_rows(job.task).test

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_no_test_label_can_be_reached(spied, kind):
    handed, asked, job, rows = spied(kind)
    assert len(handed) == 1 and len(asked) == 2
    everything = reachable(handed)
    assert job.sent().split.test[0] in [
        e for e in everything if isinstance(e, Example)
    ]  # the walk gets as far as the test inputs
    assert any(isinstance(thing, torch.nn.Module) for thing in everything)  # and into the models
    assert leaks(handed, job, rows) == []
    assert leaks(asked, job, rows) == []
    assert all(e.label is None and not e.answers for examples in asked for e in examples)


def test_the_walk_would_find_a_leak(spied):
    handed, _, job, rows = spied("single")
    kit = handed[0][2]
    for secret in (job.scorer, rows[0], lambda: rows, SimpleNamespace(deep=[{"x": (rows,)}]), job):
        kit.notes["secret"] = secret
        assert leaks(handed, job, rows)
        del kit.notes["secret"]
    assert leaks(handed, job, rows) == []


def test_a_scorer_tells_only_the_order_and_scores(spied):
    job = spied("single")[2]
    assert [name for name in dir(job.scorer) if not name.startswith("_")] == ["order", "score"]
    assert not hasattr(job.scorer, "__dict__")
