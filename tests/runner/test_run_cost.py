"""Stored runs brought back and measured; and what is said of those that cannot be."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from fewbench.errors import BenchError
from fewbench.measure.stored import Locations, model_key, model_of, not_kept, task_of, test_rows
from fewbench.measure.stored_cost import CostConditions, EnergyUse, cost, spaced
from fewbench.nn.exit_rules import Depth
from fewbench.nn.fit_context import Models
from fewbench.runner.local import execute
from fewbench.runner.plan import Request, make_plan
from fewbench.store.measurement import measurements
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Example


@pytest.fixture(scope="module")
def costing():
    """The commands as functions; some versions of typer and click warn when they are imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fewbench.cli import cost as costing
    return costing


def run(root: Path, model: Path, *, keep: bool, methods: str = "zero-shot") -> tuple[Store, Record]:
    store = Store(root)
    request = Request(
        methods=(methods,),
        tasks=("demo-sentiment",),
        k=(4,),
        seeds=(13,),
        student=str(model),
        protocol="demo",
        limit=12,
        keep_models=keep,
        offline=True,
    )
    plan = make_plan(request, store)
    execute(
        plan.stages(plan.todo()), store, workers=1, device="cpu", threads=1, on_done=lambda *_: None
    )
    (record,) = store.records()
    assert record.status == "ok", record.error
    return store, record


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Store, Record]:
    return run(tmp_path_factory.mktemp("kept"), tiny_model, keep=True)


def world(store: Store, *models: Path) -> Locations:
    return Locations(store, models=[str(model) for model in models], offline=True)


def test_a_kept_model_predicts_what_it_predicted(kept, tiny_model):
    store, record = kept
    here = world(store, tiny_model)
    task = task_of(record, here)
    rows = test_rows(record, task, here)
    assert len(rows) == 12
    model = model_of(record, task, Models(torch.device("cpu")), here)
    found = model.predict([row.without_label() for row in rows])
    stored = store.predictions(record)
    assert found.ids == stored.ids
    assert (found.array == stored.array).all()


def test_cost_is_stored_beside_the_record(costing, kept, tiny_model, capsys):
    store, record = kept
    costing.cost(
        [record.run.key],
        None,
        None,
        [str(tiny_model)],
        None,
        None,
        4,
        2,
        1,
        "cpu",
        False,
        True,
        store.root,
        json=True,
    )
    (found,) = measurements(store, record, "cost")
    assert found.scores["layers"] == {"run": 2, "of": 2}
    assert found.scores["parameters"]["trained"] == 0
    assert found.scores["bytes"] > 4 * found.scores["parameters"]["total"]
    assert found.scores["speed_up"] == {}  # a model without a teacher
    assert found.settings == {"against": None, "examples": 4, "rounds": 2}
    assert found.environment.threads == 1
    assert store.fsck() == []
    assert '"macs"' in capsys.readouterr().out


def test_beside_a_teacher_and_with_energy(kept, tiny_model):
    store, record = kept
    teacher = replace(record, run=replace(record.run, key="f" * 32))
    artifacts = store.artifacts
    manifest, content = artifacts.read(model_key(record))
    artifacts.save(model_key(teacher), manifest, save(load(content)))

    def energy(work):
        work()
        return EnergyUse(6.0, "a meter")

    conditions = CostConditions(examples=2, rounds=2, energy=energy)
    found = cost(record, teacher, world(store, tiny_model), Models(torch.device("cpu")), conditions)
    assert found.settings["against"] == teacher.run.key
    assert found.scores["layer_ratio"] == 1
    assert set(found.scores["speed_up"]) == {"1", "32"}
    assert found.scores["macs"]["teacher"] == found.scores["macs"]["model"]
    assert found.scores["energy"]["by"] == "a meter"
    assert 0 < found.scores["energy"]["joules"] < 6  # of one example of many
    artifacts.file(model_key(teacher)).unlink()


def test_early_exits_are_timed_beside_their_model_without_them(tmp_path, tiny_model):
    method = "pabee:rule=depth,depth=1,lr=0.001,batch_size=2"
    store, record = run(tmp_path, tiny_model, keep=True, methods=method)
    here = world(store, tiny_model)
    model = model_of(record, task_of(record, here), Models(torch.device("cpu")), here)
    rows = [row.without_label() for row in test_rows(record, task_of(record, here), here)]
    whole = model.without_exits().predict(rows)
    model.rule = Depth(2)
    assert np.allclose(whole.array, model.predict(rows).array, atol=1e-6)
    found = cost(record, None, here, Models(torch.device("cpu")), CostConditions(rounds=2))
    assert found.scores["layers"] == {"run": 1, "of": 2} and found.scores["layer_ratio"] == 2
    assert set(found.scores["speed_up"]) == {"1", "32"}
    macs = found.scores["macs"]
    assert macs["whole"]["total"] > macs["model"]["total"]


def test_a_model_that_was_not_kept_is_one_error_and_the_others_go_on(
    costing, kept, tiny_model, capsys
):
    store, record = kept
    other = replace(record, run=replace(record.run, seed=21), predictions=None)
    store.save(other, None)
    second = next(one for one in store.records() if one.run.seed == 21)
    keys = [second.run.key, record.run.key]
    with pytest.raises(costing.typer.Exit) as caught:
        costing.cost(
            keys, None, None, [str(tiny_model)], None, None, 2, 2, 1, "cpu", False, True, store.root
        )
    assert caught.value.exit_code == 1
    told = capsys.readouterr()
    assert "was not kept" in told.err
    assert "--keep-models" in told.err
    assert record.run.key[:8] in told.out


def test_reasons_why_there_is_no_model(kept):
    _, record = kept
    assert "--keep-models" in str(not_kept(record))
    assert "failed" in str(not_kept(replace(record, status="failed")))
    bare = replace(record, run=replace(record.run, student=None, method="majority"))
    assert "'majority' has no model" in str(not_kept(bare))


def test_a_backbone_that_is_not_found(kept):
    store, record = kept
    with pytest.raises(BenchError, match="is not found") as caught:
        model_of(record, task_of(record, world(store)), Models(torch.device("cpu")), world(store))
    assert "--model FOLDER" in str(caught.value)


def test_other_test_rows_and_another_version_are_refused(kept):
    store, record = kept
    here = world(store)
    changed = replace(record, run=replace(record.run, test_fingerprint="0" * 64))
    with pytest.raises(BenchError, match="not those that run"):
        test_rows(changed, task_of(record, here), here)
    with pytest.raises(BenchError, match="has version 99"):
        task_of(replace(record, run=replace(record.run, task_version=99)), here)


def test_examples_are_spread_over_the_test_set():
    rows = [Example(f"test-{row}", ("a",), 1) for row in range(10)]
    assert [row.id for row in spaced(rows, 4)] == ["test-0", "test-2", "test-5", "test-7"]
    assert [row.label for row in spaced(rows, 99)] == [None] * 10


test_rows.__test__ = False  # type: ignore[attr-defined]  # the function, not a test
