"""PABEE end to end: its record, its choice on dev, and what is refused before training."""

from __future__ import annotations

import copy

import pytest
import torch

from fewbench.data.metrics import score
from fewbench.errors import BenchError
from fewbench.nn.exits import head_exits
from fewbench.nn.fit_context import FitContext, Models
from fewbench.registry.methods import methods
from fewbench.registry.settings import bind
from fewbench.runner.local import execute
from fewbench.runner.run import carry_out
from fewbench.store.store import Store
from fewbench.testing import toy_job, toy_task

PABEE = methods()["pabee"]
QUICK = {"lr": 1e-3, "batch_size": 2}


def models() -> Models:
    return Models(torch.device("cpu"))


def fitted(job, **settings):
    torch.manual_seed(1)
    kit = FitContext(job.task, job.split, job.protocol, 1, models(), job.run.student)
    return PABEE.module().fit(job.task, job.split, kit, **QUICK, **settings), kit


@pytest.mark.parametrize("kind", ["single", "regression"])
def test_the_record_tells_of_exits(tiny_model, tmp_path, kind):
    job = toy_job(PABEE, tiny_model, toy_task(kind), settings=QUICK | {"patience": 1})
    store = Store(tmp_path)
    execute([[job]], store, workers=1, device="cpu", threads=1, on_done=lambda work, outcome: None)
    record = store.get(job.run)
    exits = store.predictions(record).extras["exits"].tolist()
    assert len(exits) == len(job.split.test)
    told = record.details["exits"]
    assert told["left_by"] == [exits.count(1), exits.count(2)] and told["layers"] == 2
    assert told["mean_layers"] == sum(exits) / len(exits)
    assert told["speed_up"] == pytest.approx(2 * len(exits) / sum(exits))
    assert "Patience(t=1" in told["rule"]
    assert [row["rule"] for row in record.details["exits_on_dev"]] == ["Patience(t=1, tau=0.1)"]


def test_one_training_serves_every_patience(tiny_model):
    """Models of every patience are the same; without a set patience, the best on dev is taken."""
    job = toy_job(PABEE, tiny_model, toy_task("pair"))
    chosen, kit = fitted(job)
    labels = [example.label for example in job.split.dev]
    found = []
    for t in range(3):
        model, _ = fitted(job, patience=t)
        assert all(
            torch.equal(a, b) for a, b in zip(model.parameters(), chosen.parameters(), strict=True)
        )
        predictions = model.predict(job.split.dev)
        found.append(
            (score(job.task, labels, predictions)["accuracy"], -predictions.extras["exits"].mean())
        )
    assert [row["accuracy"] for row in kit.notes["exits_on_dev"]] == pytest.approx(
        [value for value, _ in found]
    )
    assert chosen.rule.t == found.index(max(found))


def test_a_single_depth_is_trained_alone(tiny_model):
    job = toy_job(PABEE, tiny_model)
    model, _ = fitted(job, rule="depth", depth=1, joint=False)
    untrained = [parameter for parameter in model.backbone.layers[1].query.parameters()]
    original = models().pretrained(job.run.student).layers[1].query.parameters()
    assert all(torch.equal(a, b) for a, b in zip(untrained, original, strict=True))
    assert model.predict(job.split.test).extras["exits"].tolist() == [1] * len(job.split.test)


def test_two_stages_are_fine_tuning_and_then_the_lower_classifiers(tiny_model):
    """DeeBERT: the second stage leaves the model and its last classifier as the first made them."""
    job = toy_job(PABEE, tiny_model)
    model, _ = fitted(job, two_stages=True)
    torch.manual_seed(1)
    kit = FitContext(job.task, job.split, job.protocol, 1, models(), job.run.student)
    alone = head_exits(kit.backbone("student"), job.task)
    start = copy.deepcopy(alone.classifiers[0].state_dict())
    alone.weights = torch.tensor([0.0, 1.0])
    kit.train(alone, **QUICK)
    for name, tensor in alone.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], tensor), name
    last = alone.classifiers[1].state_dict()
    assert all(torch.equal(model.classifiers[1].state_dict()[name], last[name]) for name in last)
    first = model.classifiers[0].state_dict()
    assert not any(torch.equal(first[name], start[name]) for name in start)


@pytest.mark.parametrize("preset", PABEE.presets)
def test_presets_run(tiny_model, preset):
    record, _ = carry_out(
        toy_job(PABEE, tiny_model, settings=bind(PABEE, [preset]) | {"patience": None}), models(), 1
    )
    assert record.status == "ok", record.error


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["patience=3"], "patience=3, and the model has 2 layers"),
        (["thesis"], "patience=6, and the model has 2 layers"),
        (["rule=depth", "depth=3"], "depth=3, and the model has 2 layers"),
        (["rule=magic"], "no such exit rule: 'magic'"),
        (["joint=false"], "the classifier of one depth"),
        (["deebert", "joint=false"], "two_stages trains the last classifier"),
        (["min_speed_up=2", "max_speed_up=1.5"], "min_speed_up=2.0 is above max_speed_up=1.5"),
    ],
)
def test_what_cannot_be_stops_the_plan_before_any_training(tiny_model, tmp_path, settings, problem):
    good = toy_job(PABEE, tiny_model)
    bad = toy_job(PABEE, tiny_model, settings=bind(PABEE, settings))
    with pytest.raises(BenchError, match=problem) as caught:
        execute(
            [[good, bad]],
            Store(tmp_path),
            workers=1,
            device="cpu",
            threads=1,
            on_done=lambda work, outcome: None,
        )
    assert "pabee:" in caught.value.where
    assert not list(Store(tmp_path).records())
