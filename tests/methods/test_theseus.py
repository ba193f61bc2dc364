"""Module replacing: schedules and draws by hand, what is trained, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.methods.theseus.mixture import Mixture, constant_rate, groups, linear_rate, replacing
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.prune import truncate
from fewbench.nn.serialize import duplicate
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.runner.preflight import ask_method
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job, toy_protocol, toy_rows, toy_task

THESEUS = methods()["theseus"]


def test_schedules():
    linear, constant = linear_rate(0.3, 0.0006), constant_rate(0.5, 3)
    assert [linear(step) for step in (0, 500, 1166, 1167, 5000)] == pytest.approx(
        [0.3, 0.6, 0.9996, 1, 1]
    )
    assert [constant(step) for step in range(5)] == [
        0.5,
        0.5,
        0.5,
        1,
        1,
    ]  # not 1 from the second update on


def test_each_successor_is_drawn_by_itself():
    assert [list(group) for group in groups(12, 6)] == [[i, i + 1] for i in range(0, 12, 2)]
    assert [list(group) for group in groups(3, 2)] == [[0], [1, 2]]
    mixture = Mixture(list("abcdef"), constant_rate(0.3, 3000), seed=1)
    drawn = ["".join(mixture.draw(list("XYZ"))) for _ in range(3000)]
    assert set(drawn) == {a + b + c for a in ("ab", "X") for b in ("cd", "Y") for c in ("ef", "Z")}
    for letter in "XYZ":
        assert sum(letter in layers for layers in drawn) / 3000 == pytest.approx(0.3, abs=0.04)
    assert sum("X" in layers and "Y" in layers for layers in drawn) / 3000 == pytest.approx(
        0.09, abs=0.03
    )
    assert {"".join(mixture.draw(list("XYZ"))) for _ in range(5)} == {"XYZ"}


def test_only_training_mixes(tiny_model):
    models = Models(torch.device("cpu"))
    model = HeadModel(models.fresh(find_model(str(tiny_model))), toy_task("single")).eval()
    whole = duplicate(model).eval()
    batch = model.collate(model.encode(toy_rows(model.task).test[:2]))
    truncate(model.backbone, [0])
    successor = model.backbone.read(batch)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    old = [
        layer._replace(weights=0.0, after_attention=0.0, after_feedforward=0.0)
        for layer in whole.backbone.layers
    ]
    mixture = Mixture(old, lambda step: 0.0 if step == 0 else 1.0, seed=1)
    model.backbone.model.config.attention_probs_dropout_prob = 0.0
    with replacing(model.backbone, mixture):
        assert torch.equal(model.backbone.read(batch), successor) and mixture.passes == 0
        model.train()
        assert torch.allclose(model.backbone.read(batch), whole.backbone.read(batch), atol=1e-6)
        assert torch.allclose(model.backbone.read(batch), successor, atol=1e-6)
    assert len(model.backbone.layers) == 1


def test_only_successors_are_trained(tiny_model, tmp_path):
    artifacts = Artifacts(tmp_path)
    job = toy_job(THESEUS, tiny_model, protocol=toy_protocol(), keep=True)
    record, _ = run_job(job, artifacts)
    assert (record.status, record.error) == ("ok", None)
    assert record.details["replacing"] == {"first_rate": 0.3, "last_rate": 1.0, "updates": 3}
    models = Models(torch.device("cpu"))
    refs = (job.run.student, job.run.teacher, None)
    kit = FitContext(job.task, job.split, job.protocol, 1, models, *refs, job.supplies, artifacts)
    before = kit.source()
    model = THESEUS.module().transform(
        kit.source(), job.task, job.split, kit, lr=0.01, batch_size=2, base=1.0
    )
    assert model.backbone.changes == [{"change": "truncate", "layers": [0]}]
    start, end = before.state_dict(), model.state_dict()
    moved = {name for name in end if not torch.equal(start[name], end[name])}
    assert moved and all(".encoder.layer.0." in name for name in moved)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_distillation_takes_the_place_of_the_labels_inside_replacing(
    tiny_model, tmp_path, monkeypatch
):
    """Thesis, section 4.5: T^2 sum_x p(x) log(p(x) / q(x)) of eq. 4.2, p the predecessor's."""
    artifacts = Artifacts(tmp_path)
    job = toy_job(THESEUS, tiny_model, keep=True)
    run_job(job, artifacts)
    models = Models(torch.device("cpu"))
    refs = (job.run.student, job.run.teacher, None)
    kit = FitContext(job.task, job.split, job.protocol, 1, models, *refs, job.supplies, artifacts)
    found = {}

    def train(model, *, loss, **options):
        model.eval()
        torch.nn.init.normal_(model.output.weight, generator=torch.Generator().manual_seed(1))
        encoded = [
            example._replace(row=row) for row, example in enumerate(model.encode(job.split.train))
        ]
        batch = model.collate(encoded)
        wrong = replace(batch, labels=(batch.labels + 1) % 3)
        found["loss"], found["other labels"] = loss(batch).item(), loss(wrong).item()
        found["student"] = model(batch).detach().double().numpy()

    monkeypatch.setattr(kit, "train", train)
    transform = THESEUS.module().transform
    transform(kit.source(), job.task, job.split, kit, layers=1, kd=True, temperature=4.0)
    teacher = np.log(kit.teacher().predict(job.split.train).array.astype(float)) / 4
    p, q = (np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in (teacher, found["student"] / 4))
    by_hand = 16 * (p * np.log(p / q)).sum(1).mean()
    assert by_hand > 0.01
    assert found["loss"] == pytest.approx(by_hand, rel=1e-3)
    assert found["other labels"] == found["loss"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"schedule": "cosine"}, "unknown schedule"),
        ({"base": 0.0}, "base is 0.0"),
        ({"k": -1.0}, "k is -1"),
        ({"schedule": "constant", "replacing_steps": 0}, "replacing_steps is 0"),
        ({"layers": 3}, "layers is 3"),
    ],
)
def test_what_is_refused_before_training(tiny_model, settings, problem):
    with pytest.raises(BenchError, match=problem):
        ask_method(toy_job(THESEUS, tiny_model, settings=settings), Models(torch.device("cpu")))
