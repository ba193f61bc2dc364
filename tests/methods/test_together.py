"""DML and ProKT: one update of both models by hand, and that training goes on after a kill."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lessons import CatchingKit, Lesson, two_sized_job, wider

from fewbench.nn.companion import Companion
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods
from fewbench.runner.steps import fit
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job

KNOWN = methods()
QUICK = {"lr": 1e-3, "teacher_lr": 1e-2, "batch_size": 8}


@pytest.fixture
def steady(tiny_model, tmp_path):
    """The tiny model without dropout: what is done by other roads comes out the same."""
    folder = tmp_path / "steady"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def kl(p, q):
    """KL(softmax(p) || softmax(q)), the mean over rows."""
    return (p.softmax(1) * (p.log_softmax(1) - q.log_softmax(1))).sum(1).mean()


class OneUpdate(CatchingKit):
    """Carries out one update of the teacher, and does it by hand beside it."""

    def train(self, model, **given):
        lesson = Lesson(model, given | {"examples": self._split.train})
        batch, (peer,) = lesson.batch(), given["carries"]
        self.labels = batch.labels
        self.before = copy.deepcopy(peer.model)
        self.student = model(batch).detach()
        self.loss = lesson.loss().detach()
        self.after = peer.model(peer.own(batch)).detach()
        by_hand = copy.deepcopy(self.before)
        optimizer = torch.optim.AdamW(
            [p for p in by_hand.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0
        )
        self.teacher_loss(by_hand(peer.own(batch))).backward()
        torch.nn.utils.clip_grad_norm_(by_hand.parameters(), self.protocol.max_grad_norm)
        optimizer.step()
        self.expected = by_hand(peer.own(batch)).detach()


def updated(name, steady, tmp_path, teacher_loss, **settings):
    job = two_sized_job(KNOWN[name], steady, wider(steady, tmp_path / "wide"), **QUICK, **settings)
    refs = (job.run.student, job.run.teacher, None)
    kit = OneUpdate(job.task, job.split, job.protocol, 1, Models(torch.device("cpu")), *refs)
    kit.teacher_loss = lambda scores: teacher_loss(kit, scores)
    torch.manual_seed(1)
    fit(job.method, job.task, job.split, kit, {**job.run.settings, **job.trials[0]})
    return kit


def test_mutual_learning(steady, tmp_path):
    """Zhang et al., 2018, eq. 4-6: labels and the other's opinion, the teacher first."""
    kit = updated(
        "dml",
        steady,
        tmp_path,
        lambda kit, scores: F.cross_entropy(scores, kit.labels) + kl(kit.student, scores),
    )
    torch.testing.assert_close(kit.after, kit.expected, atol=1e-4, rtol=1e-4)
    wanted = F.cross_entropy(kit.student, kit.labels) + kl(kit.after, kit.student)
    torch.testing.assert_close(kit.loss, wanted)


def test_proximal_teaching(steady, tmp_path):
    """Shi et al., 2021: the teacher near its student, which learns of the teacher alone."""
    kit = updated(
        "prokt",
        steady,
        tmp_path,
        lambda kit, scores: (
            0.7 * F.cross_entropy(scores, kit.labels) + 0.3 * kl(kit.student, scores)
        ),
        constraint=0.3,
    )
    torch.testing.assert_close(kit.after, kit.expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(kit.loss, kl(kit.after, kit.student))


@pytest.mark.parametrize("name", ["dml", "prokt"])
def test_the_teacher_learns_and_is_not_the_pretrained_one(tiny_model, tmp_path, name):
    artifacts = Artifacts(tmp_path)
    settings = {"lr": 1e-3, "batch_size": 2}
    found = []
    for rate in (1e-8, 1e-2):
        job = toy_job(KNOWN[name], tiny_model, settings=settings | {"teacher_lr": rate})
        assert job.teacher is None
        record, predictions = run_job(job, artifacts)
        assert record.error is None
        found.append(predictions.array)
    assert not np.array_equal(*found)


@pytest.mark.parametrize("name", ["dml", "prokt", "rco", "sftn"])
def test_a_teacher_in_training_has_the_rate_that_is_searched_for_the_student(
    name, tiny_model, tmp_path
):
    found = []
    for given in ({}, {"teacher_lr": 1e-3}, {"teacher_lr": 1e-5}):
        job = toy_job(KNOWN[name], tiny_model, settings={"lr": 1e-3, "batch_size": 2} | given)
        _, predictions = run_job(job, Artifacts(tmp_path))
        found.append(predictions.array)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_companion_goes_on_from_its_state(steady):
    """Two updates, or one, a state, and another: the same weights."""
    job = toy_job(KNOWN["dml"], steady)
    models = Models(torch.device("cpu"))

    def made():
        torch.manual_seed(3)
        from fewbench.nn.classifier import HeadModel

        model = HeadModel(models.fresh(job.run.teacher), job.task)
        return Companion(model, job.split.train, job.protocol, 1e-2)

    first, second = made(), made()
    batch = first.model.collate(first.model.encode(job.split.train))
    loss = lambda scores: F.cross_entropy(scores, batch.labels)  # noqa: E731
    first.update(batch, loss)
    second.load_state_dict({k: v.clone() for k, v in first.state_dict().items()})
    for companion in (first, second):
        companion.update(batch, loss)
    assert torch.equal(first.targets(batch), second.targets(batch))
