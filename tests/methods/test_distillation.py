"""The distillation methods end to end: what they train, leave unchanged and refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.distil import targets
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.losses import distillation_kl
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import pipeline
from fewbench.runner.preflight import ask_method
from fewbench.runner.steps import fit
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job, toy_task

KNOWN = methods()
QUICK = {"lr": 1e-3, "batch_size": 2}
NAMES = ("vanilla-kd", "pkd", "prompt-kd", "prompt-distiller", "kd")


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path)


def run(name, model, artifacts, kind="single", **settings):
    job = toy_job(KNOWN[name], model, toy_task(kind), settings=QUICK | settings)
    record, predictions = run_job(job, artifacts)
    assert record.error is None and predictions is not None
    return record, predictions.array


@pytest.mark.parametrize("name", NAMES)
def test_the_teacher_is_not_trained(name, tiny_model, artifacts):
    job = toy_job(KNOWN[name], tiny_model, settings=QUICK)
    run_job(job, artifacts)
    models = Models(torch.device("cpu"))
    refs = (job.run.student, job.run.teacher, job.run.corpus)
    kit = FitContext(job.task, job.split, job.protocol, 1, models, *refs, job.supplies, artifacts)
    teacher, original = kit.teacher(), models.pretrained(job.run.teacher)
    before = [p.clone() for p in (*teacher.parameters(), *original.parameters())]
    fit(KNOWN[name], job.task, job.split, kit, job.trials[0])
    after = (*teacher.parameters(), *original.parameters())
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert not teacher.training and not any(
        p.requires_grad or p.grad is not None for p in teacher.parameters()
    )


def test_without_its_weight_the_teacher_counts_for_nothing(tiny_model, artifacts):
    """Thesis eq. 5.1: alpha weighs the labels."""
    _, alone = run("vanilla-kd", tiny_model, artifacts, alpha=1.0)
    _, plain = run("ft", tiny_model, artifacts)
    assert np.array_equal(alone, plain)
    assert not np.array_equal(run("vanilla-kd", tiny_model, artifacts, alpha=0.0)[1], plain)


@pytest.mark.parametrize("name", ["vanilla-kd", "metadistil"])
@pytest.mark.parametrize("kind", ["single", "choice", "regression"])
def test_logits_in_the_place_of_probabilities(tiny_model, artifacts, name, kind):
    """Thesis section 5.3.1; a regression has no logits, and one loss."""
    _, logits = run(name, tiny_model, artifacts, kind, kd="logits")
    _, own = run(name, tiny_model, artifacts, kind)
    assert np.array_equal(logits, own) == (kind == "regression")
    _, warm = run(name, tiny_model, artifacts, kind, kd="logits", temperature=7.0)
    assert np.array_equal(warm, logits)


@pytest.mark.parametrize("kind", ["single", "choice"])
def test_patience_comes_on_top_of_vanilla_kd(tiny_model, artifacts, kind):
    record, without = run("pkd", tiny_model, artifacts, kind, beta=0.0, temperature=2.0)
    _, vanilla = run("vanilla-kd", tiny_model, artifacts, kind)
    np.testing.assert_allclose(without, vanilla, atol=1e-5)
    assert record.details["teacher_layers"] == [1]
    assert not np.allclose(
        run("pkd", tiny_model, artifacts, kind, temperature=2.0)[1], vanilla, atol=1e-6
    )


def test_prompt_distiller_without_both_techniques_is_prompt_kd(tiny_model, artifacts):
    """prompt-distiller, Tables 1 and 2."""
    fixed = {"temperature": 10.0, "lambda1": 0.2}
    _, neither = run(
        "prompt-distiller",
        tiny_model,
        artifacts,
        **fixed,
        **KNOWN["prompt-distiller"].presets["neither"],
    )
    _, plain = run("prompt-kd", tiny_model, artifacts, **fixed)
    np.testing.assert_allclose(neither, plain, atol=1e-5)
    for preset in ("no-contrast", "no-unlabeled", "printed"):
        settings = KNOWN["prompt-distiller"].presets[preset]
        _, other = run("prompt-distiller", tiny_model, artifacts, **fixed, **settings)
        assert not np.allclose(other, plain, atol=1e-6), preset


def test_the_record_tells_top_tokens(tiny_model, artifacts):
    record, _ = run("prompt-distiller", tiny_model, artifacts, temperature=10.0, lambda1=0.2, n=1)
    told = {name: value for name, value in record.details.items() if name.startswith("top_tokens ")}
    assert len(told) == 3
    for tokens in told.values():
        assert set(tokens) == {"tuned", "pretrained", "student"} and {
            len(row) for row in tokens.values()
        } == {5}


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("vanilla-kd", {"temperature": 0.0}, "temperature=0.0"),
        ("prompt-kd", {"temperature": -1.0}, "temperature=-1.0"),
        ("kd", {"temperature": 0.0}, "temperature=0.0"),
        ("prompt-distiller", {"n": -1}, "n=-1"),
    ],
)
def test_refused_before_anything_runs(tiny_model, name, settings, problem):
    with pytest.raises(BenchError, match=problem):
        ask_method(toy_job(KNOWN[name], tiny_model, settings=settings), Models(torch.device("cpu")))


@pytest.mark.parametrize(("name", "teacher"), [("pkd", "prompt-ft"), ("prompt-distiller", "ft")])
def test_a_teacher_that_reads_something_else(tiny_model, artifacts, name, teacher):
    record, _ = run_job(
        toy_job(KNOWN[name], tiny_model, settings=QUICK | {"teacher": teacher}), artifacts
    )
    assert f"the teacher '{teacher}'" in (record.error or "")


def test_kd_goes_towards_the_teacher_whatever_the_labels(tiny_model, artifacts):
    """A copy whose head was put off comes back, and labels of train count for nothing."""
    job = toy_job(KNOWN["kd"], tiny_model, settings=QUICK)
    run_job(job, artifacts)
    protocol = replace(job.protocol, max_steps=30, eval_every=30)
    other = replace(job.split, train=tuple(replace(e, label=0) for e in job.split.train))
    found = []
    for split in (job.split, other):
        kit = FitContext(
            job.task,
            split,
            protocol,
            1,
            Models(torch.device("cpu")),
            None,
            job.run.teacher,
            None,
            job.supplies,
            artifacts,
        )
        teacher, model = kit.teacher(), kit.source()
        model.output.bias.data[0] += 1
        wanted, before = targets(teacher, split.train), targets(model, split.train)
        torch.manual_seed(1)
        after = targets(
            KNOWN["kd"].module().transform(model, job.task, split, kit, lr=2e-2, batch_size=2),
            split.train,
        )
        assert distillation_kl(after, wanted) < 0.5 * distillation_kl(before, wanted)
        found.append(after)
    assert torch.equal(*found)


def test_truncate_and_kd_compose(tiny_model, artifacts):
    job = toy_job(
        pipeline("truncate+kd", KNOWN), tiny_model, settings={"truncate.layers": 1, "kd.lr": 1e-3}
    )
    assert run_job(job, artifacts)[0].error is None
    assert "truncate+kd" in KNOWN["truncate"].pipelines


def test_rebuilding_the_teacher_moves_no_random_numbers(tiny_model, artifacts):
    """Only the first trial that needs the teacher rebuilds it; all results must be the same."""
    job = toy_job(KNOWN["vanilla-kd"], tiny_model, settings=QUICK)
    run_job(job, artifacts)
    refs = (job.run.student, job.run.teacher, None)
    kit = FitContext(
        job.task,
        job.split,
        job.protocol,
        1,
        Models(torch.device("cpu")),
        *refs,
        job.supplies,
        artifacts,
    )
    state = torch.random.get_rng_state()
    kit.teacher()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_only_embeddings_in_use_need_training(tiny_model, artifacts, monkeypatch):
    """Prompt-Distiller's pool has further tokens; training all embeddings gives the same model."""
    from contextlib import nullcontext

    from fewbench.nn import sparse_embeddings

    given = {"temperature": 10.0, "lambda1": 0.2, "lr": 1e-2}
    _, focused = run("prompt-distiller", tiny_model, artifacts, **given)
    monkeypatch.setattr(sparse_embeddings, "focus_on", lambda *read: nullcontext())
    _, whole = run("prompt-distiller", tiny_model, artifacts, **given)
    np.testing.assert_allclose(focused, whole, atol=1e-5)
    assert not np.allclose(
        run("prompt-distiller", tiny_model, artifacts, **given | {"lr": 1e-3})[1], whole, atol=1e-3
    )
