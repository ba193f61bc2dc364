"""RCO: where a teacher's anchors are, and which one the student learns from at each update."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lessons import CatchingKit

from fewbench.methods import rco
from fewbench.nn.classifier import HeadModel
from fewbench.nn.distil import logits
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.trainer import History
from fewbench.registry.methods import methods
from fewbench.runner.steps import fit
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job, toy_protocol

METHOD = methods()["rco"]
QUICK = {"lr": 1e-3, "teacher_lr": 1e-2, "batch_size": 2}


def test_anchors_and_stages_are_equally_long():
    """Thesis section 5.3.1: four unconverged checkpoints, then the converged one."""
    assert rco.anchors_of(10, 4) == [2, 4, 6, 8]
    assert rco.anchors_of(3, 4) == [0, 1, 2]  # no more than there are updates
    assert [rco.stage(done, 10, 5) for done in range(10)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert rco.stage(12, 10, 5) == 4


class Route(CatchingKit):
    """Trains the teacher by hand with visible steps, and reads the student's losses."""

    def train(self, model, **given):
        super().train(model, **given)
        lesson = self.lessons[-1]
        self.states = getattr(self, "states", [])
        if len(self.lessons) == 1:
            for _ in range(3):
                self.states.append(logits(model, self._split.train))
                lesson.loss()
                with torch.no_grad():
                    model.output.bias.add_(torch.tensor([1.0, 0.0, -0.5]))
            self.states.append(logits(model, self._split.train))
        else:
            self.losses = [lesson.loss() for _ in range(4)]
            self.scores = model(lesson.batch())
            self.labels = lesson.batch().labels
        return History()


def test_the_student_learns_from_one_anchor_after_the_other(tiny_model):
    """alpha CE + (1 - alpha) MSE of logits (eq. 5.1), by the teacher of each stage."""
    job = toy_job(METHOD, tiny_model, settings=QUICK | {"anchors": 1, "kd": "logits", "alpha": 0.3})
    refs = (job.run.student, job.run.teacher, None)
    kit = Route(job.task, job.split, job.protocol, 1, Models(torch.device("cpu")), *refs)
    kit.lessons = []
    torch.manual_seed(1)
    fit(METHOD, job.task, job.split, kit, {**job.run.settings, **job.trials[0]})
    assert kit.updates(2) == 3  # the anchor lies after 3 // 2 updates
    hard = 0.3 * F.cross_entropy(kit.scores, kit.labels)
    for loss, anchor in zip(kit.losses, (1, 1, 3, 3), strict=True):
        expected = hard + 0.7 * F.mse_loss(kit.scores, kit.states[anchor])
        torch.testing.assert_close(loss, expected)


def test_the_route_ends_where_the_teacher_does_whatever_dev_says(tiny_model):
    """Its best checkpoint on dev, the first of those that tie, would lead the student back."""
    protocol = toy_protocol(eval_every=1)
    job = toy_job(METHOD, tiny_model, settings=QUICK | {"anchors": 1}, protocol=protocol)
    refs = (job.run.student, job.run.teacher, None)
    kit = FitContext(job.task, job.split, job.protocol, 1, Models(torch.device("cpu")), *refs)
    teacher = HeadModel(kit.backbone("teacher"), job.task)
    updates = kit.updates(2)
    *before, end = rco.follow(teacher, job.split, kit, range(updates), 1e-5, 2)
    assert len(before) == updates > 1 and kit.notes["best_step"] == updates
    assert not any(torch.equal(end, earlier) for earlier in before)


def test_a_route_goes_on_from_its_state(tiny_model):
    job = toy_job(METHOD, tiny_model)
    model = HeadModel(Models(torch.device("cpu")).fresh(job.run.teacher), job.task).eval()
    first, second = (rco.Route(model, job.split.train, [1, 2]) for _ in range(2))
    first.note()
    first.note()
    second.load_state_dict(first.state_dict())
    assert len(first.found) == 1 and torch.equal(second.found[0], first.found[0])
    second.note()
    assert len(second.found) == 2 and second.next() == 3


@pytest.mark.parametrize("kind", ["kl", "logits"])
def test_it_runs_and_tells_its_anchors(tiny_model, tmp_path, kind):
    job = toy_job(METHOD, tiny_model, settings=QUICK | {"kd": kind, "anchors": 2})
    record, _ = run_job(job, Artifacts(tmp_path))
    assert record.error is None and record.details["anchors"] == 3
