"""TextAttack's recipes on a stored run, and that our search is its search."""

from __future__ import annotations

import json
import math
from collections import Counter
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

from fewbench.errors import BenchError
from fewbench.measure.attack import adapter
from fewbench.measure.attack.encoder import MeanPooled
from fewbench.measure.attack.recipes import RECIPES
from fewbench.measure.attack.resources import read_resources
from fewbench.measure.attack.run import Target, blocks
from fewbench.nn.kinds import open_backbone
from fewbench.registry.pretrained import find_model
from fewbench.runner.local import execute
from fewbench.runner.plan import Request, make_plan
from fewbench.store.measurement import attachment, measurements
from fewbench.store.parts import Environment
from fewbench.store.store import Store
from fewbench.types import Example, Predictions


@pytest.fixture
def textattack(shared, monkeypatch):
    """TextAttack, if this environment has it."""
    monkeypatch.setenv("NLTK_DATA", str(shared / "nltk_data"))
    try:
        adapter.check_installed()
    except BenchError as error:
        pytest.skip(f"{error.problem}: {error.fix}")
    return adapter.load_textattack()


class NaiveBayes:
    """A cheap model whose answers do not depend on the batch: log-odds of words, counted on MR."""

    def __init__(self, file):
        counts = (Counter(), Counter())
        for line in file.read_bytes().splitlines():
            row = json.loads(line)
            counts[row["label"]].update(set(row["text"].lower().split()))
        sums = [sum(count.values()) for count in counts]
        odds = {
            w: (counts[1][w] + 1) / sums[1] / ((counts[0][w] + 1) / sums[0])
            for w in counts[0] | counts[1]
        }
        self.weights = {word: math.log(value) for word, value in odds.items()}

    def predict(self, examples):
        odds = [
            sum(self.weights.get(word, 0.0) for word in e.texts[-1].lower().split())
            for e in examples
        ]
        second = 1 / (1 + np.exp(-np.array(odds)))
        rows = np.stack([1 - second, second], axis=1).astype(np.float32)
        return Predictions(tuple(example.id for example in examples), probabilities=rows)


def check_parity(textattack, shared, n):
    """Compare all of an outcome: status, text, probabilities, queries, words changed."""
    rows = (shared / "data" / "textfooler" / "mr" / "test.jsonl").read_bytes().splitlines()[:n]
    items = [
        Example(f"test-{i}", (json.loads(row)["text"],), json.loads(row)["label"])
        for i, row in enumerate(rows)
    ]
    resources = read_resources(None, shared / "nltk_data", shared / "data")
    encoder = MeanPooled(
        open_backbone(find_model("fewbench-mini")), [item.texts[0] for item in items]
    )
    model = NaiveBayes(shared / "data" / "lm-bff" / "mr" / "train.jsonl")
    assembly = RECIPES["textattack-jin2019"].assemble(resources)
    ours = [outcome for block in blocks(assembly, model, encoder, items) for outcome in block]
    theirs = adapter.local_textfooler(textattack, model, resources, encoder)
    assert ours == [adapter.attack_item(theirs, item, seed=0) for item in items]
    assert {outcome.status for outcome in ours} == {"succeeded", "failed", "skipped"}


def test_our_search_is_textattacks_on_ten_texts(textattack, shared):
    check_parity(textattack, shared, 10)


@pytest.mark.slow
def test_our_search_is_textattacks_on_three_hundred_texts(textattack, shared):
    check_parity(textattack, shared, 300)


def test_a_recipe_of_textattack_attacks_a_stored_run(textattack, tmp_path):
    store = Store(tmp_path)
    plan = make_plan(
        Request(
            ("zero-shot",), ("demo-inference",), seeds=(13,), protocol="demo", keep_models=True
        ),
        store,
    )
    execute(
        plan.stages(plan.jobs), store, workers=1, device="cpu", threads=1, on_done=lambda *_: None
    )
    from fewbench.measure.stored import Locations, model_of, task_of, test_rows
    from fewbench.nn.fit_context import Models

    (record,) = store.records()
    world = Locations(store, offline=True)
    task = task_of(record, world)
    import torch

    model = model_of(record, task, Models(torch.device("cpu")), world)
    target = Target(record, task, model, test_rows(record, task, world))
    adapter.attack_by_textattack(
        store, target, "textattack:deepwordbug", limit=4, environment=Environment()
    )
    (measurement,) = measurements(store, record, "attack")
    assert measurement.name == "textattack-deepwordbug" and measurement.scores["items"] == 4
    assert (
        "WordSwap" in measurement.settings["pieces"] and "0x" not in measurement.settings["pieces"]
    )
    lines = attachment(store, record, measurement, ".jsonl").read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == [item.id for item in target.items[:4]]
    predicted = model.predict(
        [Example("x", tuple(row["adversarial"])) for row in rows]
    ).probabilities
    assert predicted == pytest.approx(np.array([row["after"] for row in rows]), abs=1e-5)
    with pytest.raises(BenchError, match="no recipe 'deepwordbg'") as error:
        adapter.attack_by_textattack(
            store, target, "textattack:deepwordbg", limit=4, environment=Environment()
        )
    assert error.value.nearest[0] == "textattack:deepwordbug"


@pytest.mark.parametrize(
    ("transformers", "textattack", "says"),
    [
        ("5.23.0", "0.3.11", "needs transformers below 5, but 5.23.0 is installed"),
        ("4.57.6", None, "not installed"),
    ],
)
def test_an_environment_without_textattack_is_said(monkeypatch, transformers, textattack, says):
    def installed(name):
        found = {"transformers": transformers, "textattack": textattack}.get(name) or None
        if found is None:
            raise PackageNotFoundError(name)
        return found

    assert version("transformers")
    monkeypatch.setattr(adapter, "version", installed)
    with pytest.raises(BenchError, match=says) as error:
        adapter.check_installed()
    assert "fewbench[attack]" in str(error.value)
