"""A method in a folder outside the project, with a model class of its own: all that a shipped one
can do, it can.

Run, kept, loaded, attacked, costed, distilled from, submitted; and nothing of it is imported unless
its file is named."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fewbench
from fewbench.errors import BenchError
from fewbench.store.store import Store

METHOD = '''"""Fine-tune a head on the mean of the first token's state and a learned vector."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Shifted

PAPER = "none: a test"
NEEDS = ("student",)
SEARCH = ("lr",)


@dataclass
class Rate:
    value: float = 1e-3


def fit(task, split, kit, *, lr: float = 1e-3):
    """Train it."""
    model = Shifted(kit.backbone(), task)
    kit.train(model, lr=Rate(lr).value, batch_size=8)
    return model
'''
MODEL = '''"""The model."""

from __future__ import annotations

import torch

from fewbench.nn.classifier import HeadModel


class Shifted(HeadModel):
    """A head whose scores are shifted by a learned vector."""

    def __init__(self, backbone, task):
        super().__init__(backbone, task)
        self.shift = torch.nn.Parameter(torch.zeros(len(task.labels), device=backbone.device))

    def forward(self, batch):
        return super().forward(batch) + self.shift
'''


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """The method's folder."""
    folder = tmp_path_factory.mktemp("outside") / "shifted_head"
    folder.mkdir()
    (folder / "__init__.py").write_text(METHOD, "utf-8")
    (folder / "model.py").write_text(MODEL, "utf-8")
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory, mine):
    """A results folder with its run, and the run of a student that it taught."""
    place = tmp_path_factory.mktemp("results")
    asked = dict(
        tasks="demo-sentiment",
        seeds=[13],
        protocol="demo",
        results=place,
        device="cpu",
        keep_models=True,
    )
    records = fewbench.run([str(mine), "vanilla-kd:teacher=shifted-head"], **asked)
    assert [(record.run.method, record.status) for record in records] == [
        ("shifted-head", "ok"),
        ("vanilla-kd", "ok"),
    ]
    return place


def keys(results):
    """The keys of its own run on the student, of the teacher that it made, and of the student
    taught.
    """
    found = {(r.run.method, r.run.student.name): r.run.key for r in Store(results).records()}
    teacher, student = "fewbench-mini", "fewbench-micro"
    return (
        found["shifted-head", student],
        found["shifted-head", teacher],
        found["vanilla-kd", student],
    )


def test_it_is_loaded_and_predicts_what_it_did(results, mine):
    key = keys(results)[0]
    model = fewbench.load_model(results, key, methods=[mine])
    assert type(model).__name__ == "Shifted"
    store = Store(results)
    stored = store.predictions(store.find(key))
    split = fewbench.split("demo-sentiment", 16, 13)
    rows = {example.id: place for place, example in enumerate(split.test)}
    found = np.asarray(model.predict(split.test).probabilities)
    order = [rows[name] for name in stored.ids]
    assert np.allclose(found[order], stored.probabilities, atol=1e-5)


def test_without_its_file_nothing_of_it_runs(results):
    with pytest.raises(BenchError) as caught:
        fewbench.load_model(results, keys(results)[0])
    assert "shifted-head" in caught.value.problem
    assert "--methods" in str(caught.value.fix)


def test_its_file_with_other_code_is_refused(results, tmp_path):
    other = tmp_path / "shifted_head"
    other.mkdir()
    (other / "__init__.py").write_text(METHOD, "utf-8")
    (other / "model.py").write_text(MODEL.replace("+ self.shift", "- self.shift"), "utf-8")
    with pytest.raises(BenchError, match="code of shifted-head has changed"):
        fewbench.load_model(results, keys(results)[0], methods=[other])


def test_it_is_costed_with_what_it_taught(bench, results, mine):
    own, _, taught = keys(results)
    options = [
        "--methods",
        mine,
        "--examples",
        8,
        "--rounds",
        2,
        "--no-energy",
        "--results",
        results,
        "--json",
    ]
    done = bench("cost", own, taught, *options)
    assert done.returncode == 0, done.stderr
    costs = json.loads(done.stdout)
    assert [cost["parameters"]["total"] > 4_000_000 for cost in costs] == [True, True]
    assert costs[1]["speed_up"]


def test_it_is_attacked(bench, results, mine, neighbours, nltk_data):
    files = ["--neighbours", neighbours, "--nltk-data", nltk_data]
    done = bench(
        "attack",
        keys(results)[0],
        "--limit",
        4,
        *files,
        "--methods",
        mine,
        "--results",
        results,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 1
    refused = bench(
        "attack", keys(results)[0], "--limit", 4, *files, "--results", results, "--force"
    )
    assert refused.returncode == 2
    assert "--methods FILE" in refused.stderr


def test_it_is_submitted(bench, results, tmp_path):
    """A checkout with changes may not submit, and nothing else may stand in the way."""
    done = bench("submit", results, "--results", tmp_path / "ours")
    problems = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if line.startswith("demo-sentiment@demo/")
    ]
    assert all("changes that are not committed" in line for line in problems), problems
    if not problems:
        assert done.returncode == 0, done.stderr
        assert {record.run.key for record in Store(tmp_path / "ours").records()} == set(
            keys(results)
        )


def test_a_class_that_its_file_does_not_name_cannot_be_kept(mine, tmp_path):
    folder = tmp_path / "hidden_class"
    folder.mkdir()
    text = METHOD.replace("from .model import Shifted", "from . import model as parts")
    (folder / "__init__.py").write_text(text.replace("Shifted(kit", "parts.Shifted(kit"), "utf-8")
    (folder / "model.py").write_text(MODEL, "utf-8")
    asked = dict(
        tasks="demo-sentiment",
        seeds=[13],
        protocol="demo",
        results=tmp_path / "results",
        device="cpu",
    )
    (record,) = fewbench.run([str(folder)], keep_models=True, **asked)
    assert record.status == "failed"
    assert "import Shifted" in record.error
