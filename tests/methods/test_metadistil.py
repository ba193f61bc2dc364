"""MetaDistil end to end: what the quiz may change, and what the pilot update is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.methods.metadistil.bilevel import cut_quiz
from fewbench.nn.fit_context import FitContext, Models
from fewbench.registry.methods import methods
from fewbench.runner.preflight import ask_method
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job, toy_task

KNOWN = methods()
METHOD = KNOWN["metadistil"]
RATES = {"lr": 1e-3, "batch_size": 2}


@pytest.fixture(scope="module")
def steady(tiny_model, tmp_path_factory):
    """The tiny model without dropout: what is done by other roads comes out the same."""
    folder = tmp_path_factory.mktemp("steady") / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def built(steady, tmp_path_factory):
    """A job whose teacher is built, and where."""
    artifacts = Artifacts(tmp_path_factory.mktemp("built"))
    job = toy_job(METHOD, steady, settings=RATES, k=4)
    record, _ = run_job(job, artifacts)
    assert record.error is None
    return job, artifacts, record


def fitted(built, split=None, *, name="metadistil", max_steps=3, **settings):
    """Train a method on a split and return its predictions on dev."""
    job, artifacts, _ = built
    protocol = replace(job.protocol, max_steps=max_steps, eval_every=max_steps)
    refs = (job.run.student, job.run.teacher, None)
    split = split or job.split
    kit = FitContext(
        job.task, split, protocol, 1, Models(torch.device("cpu")), *refs, job.supplies, artifacts
    )
    torch.manual_seed(1)
    return (
        KNOWN[name]
        .module()
        .fit(job.task, split, kit, **RATES | settings)
        .predict(job.split.dev)
        .array
    )


def test_the_quiz_moves_the_teacher_alone(built):
    """With a teacher that is not trained, the texts of the quiz change nothing (same words)."""
    job = built[0]
    held = {example.id for example in cut_quiz(job.task, job.split, 0.1)[1]}
    assert set(built[2].details["quiz"]["examples"]) == held
    turned = [
        replace(e, texts=(" ".join(e.texts[0].split()[::-1]),)) if e.id in held else e
        for e in job.split.train
    ]
    other = replace(job.split, train=tuple(turned))
    assert np.array_equal(fitted(built, teacher_lr=0.0), fitted(built, other, teacher_lr=0.0))
    assert not np.array_equal(fitted(built, teacher_lr=1e-2), fitted(built, other, teacher_lr=1e-2))


def test_dev_is_no_quiz(built):
    job = built[0]
    mixed = tuple(replace(e, label=(e.label + 1) % 3) for e in job.split.dev)
    other = replace(job.split, dev=mixed)  # one checkpoint: dev selects nothing
    assert np.array_equal(fitted(built, teacher_lr=1e-2), fitted(built, other, teacher_lr=1e-2))


def test_the_pilot_update_teaches_at_once(built):
    """Thesis Algorithm 1, line 7: without it, the first lesson is the old teacher's."""
    still = fitted(built, max_steps=1, teacher_lr=0.0)
    assert np.array_equal(fitted(built, max_steps=1, teacher_lr=1e-2, pilot=False), still)
    assert not np.array_equal(fitted(built, max_steps=1, teacher_lr=1e-2), still)
    assert not np.array_equal(
        fitted(built, teacher_lr=1e-2, pilot=False), fitted(built, teacher_lr=1e-2)
    )
    assert METHOD.presets["no-pilot"] == {"pilot": False}


def test_the_teachers_dev_scores_stand_beside_the_students(built):
    """Thesis Figure 5.5; a teacher that is returned has its last score, and a still one one score."""
    job, artifacts, _ = built
    ends = {}
    for returns in ("student", "teacher"):
        method = replace(METHOD, settings=METHOD.settings | {"returns": returns})
        moved = replace(job, method=method, trials=({**job.trials[0], "teacher_lr": 1e-2},))
        record, _ = run_job(moved, artifacts)
        assert record.error is None
        steps, _ = zip(*record.details["curve"], strict=True)
        own, scores = zip(*record.details["teacher_curve"], strict=True)
        assert own == steps and len(set(own)) == len(own) > 1
        ends[returns] = scores[-1], record.scores["dev"][job.task.metric]
    assert ends["teacher"][0] == pytest.approx(ends["teacher"][1], abs=1e-6)
    assert ends["teacher"][0] == ends["student"][0]


def test_with_a_still_teacher_it_is_distillation(built):
    """Eq. 5.1: on what the quiz leaves, vanilla-kd with the same loss, and pkd with beta."""
    job = built[0]
    lessons, _ = cut_quiz(job.task, job.split, 0.1)
    same = {"alpha": 0.5, "temperature": 2.0}
    mine = fitted(built, teacher_lr=0.0, kd="kl", **same)
    np.testing.assert_allclose(mine, fitted(built, lessons, name="vanilla-kd", **same), atol=1e-5)
    mine = fitted(built, teacher_lr=0.0, kd="kl", beta=100.0, **same)
    np.testing.assert_allclose(
        mine, fitted(built, lessons, name="pkd", beta=100.0, **same), atol=1e-5
    )
    assert not np.allclose(mine, fitted(built, teacher_lr=0.0, kd="kl", **same), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({"quiz": 0.0}, "quiz=0.0"), ({"temperature": 0.0}, "temperature=0.0")],
)
def test_refused_before_anything_runs(tiny_model, settings, problem):
    with pytest.raises(BenchError, match=problem):
        ask_method(toy_job(METHOD, tiny_model, settings=settings), Models(torch.device("cpu")))


def test_two_widths_only_without_beta(tiny_model, tiny):
    models = Models(torch.device("cpu"))
    job = toy_job(METHOD, tiny_model, toy_task("single"))
    wide = models.pretrained(job.run.student)
    check = METHOD.module().check
    given = {name: value for name, value in METHOD.settings.items() if name != "teacher"}

    class Narrow:
        ref, layers = wide.ref, wide.layers
        config = type("Config", (), {"hidden_size": 8})

    check(job.task, Narrow, wide, **given)
    with pytest.raises(BenchError, match="8 wide"):
        check(job.task, Narrow, wide, **given | {"beta": 100.0})
