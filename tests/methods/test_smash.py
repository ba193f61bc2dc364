"""Smash end to end: one student for all tasks of a format, found again, and what it learns from."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from fewbench.data.corpora import corpus_ref
from fewbench.data.metrics import Scorer
from fewbench.data.split import make_split
from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import prompt_model
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.registry.protocols import get_protocol
from fewbench.runner.jobs import Job, Plan, Preparation
from fewbench.runner.local import execute
from fewbench.runner.maker import JobData, JobMaker
from fewbench.runner.run import prepare
from fewbench.store.artifacts import Artifacts
from fewbench.store.inputs import exact_hash, row_hashes
from fewbench.store.store import Store
from fewbench.testing import check_method, run_job, toy_job, toy_protocol, toy_rows, toy_task

SMASH = methods()["smash"]
CPU = torch.device("cpu")


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def text(tmp_path):
    """A corpus in words that the tiny models know."""
    file = tmp_path / "text.txt"
    documents = []
    for noun, word in itertools.product(("film", "cat"), ("good", "dull")):
        documents.append("\n".join(f"the {noun} was {word} {n}." for n in "abcd"))
    file.write_text("\n\n".join(documents))
    return file


def job_of(student, teacher, text, kind="single", **settings):
    """Return a job with a student and a teacher of their own, on a corpus of one's own."""
    task, refs = (
        toy_task(kind),
        {"student": find_model(str(student)), "teacher": find_model(str(teacher))},
    )
    maker = JobMaker(toy_protocol(), methods(), refs, corpus_ref(str(text)))
    rows = toy_rows(task)
    split, hashes = make_split(task, rows, 2, 13), row_hashes(rows)
    return maker.job(
        JobData(
            task, split, Scorer(task, rows.test), hashes, exact_hash([*split.train, *split.dev])
        ),
        SMASH,
        settings,
    )


def built(job, artifacts):
    """Build what a job needs, and return the student's weights."""
    assert job.preparation is not None
    assert prepare(job.preparation, Models(CPU), artifacts) is None
    return load(artifacts.read(job.preparation.key)[1])


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_by_protocol_and_by_the_paper():
    """smash, A.1: 200k updates of 128 at 1e-4; rule, raw text at 1e-5; shorter in quick, demo."""
    paper = {
        name: SMASH.settings[name] for name in ("pretrain_steps", "pretrain_batch", "pretrain_lr")
    }
    assert paper == {"pretrain_steps": 200_000, "pretrain_batch": 128, "pretrain_lr": 1e-4}
    assert [SMASH.presets[name]["pretrain_lr"] for name in ("distilbert", "rule")] == [1e-5, 1e-5]
    assert SMASH.presets["hidden"] == {"hidden": 0.01} and SMASH.presets["attention"] == {
        "attention": 0.01
    }
    assert not {"pretrain_steps", "pretrain_batch"} & set(get_protocol("lm-bff-v1").prepare)
    for name in ("quick", "demo"):
        assert get_protocol(name).prepare["pretrain_steps"] <= 200


def test_tasks_of_a_format_share_one_student_and_find_it_again(tiny_model, tmp_path):
    """Two tasks on single sentences and one on pairs need two preparations, the next plan none."""
    store = Store(tmp_path)
    kinds = ("single", "regression", "pair")
    jobs = tuple(
        toy_job(SMASH, tiny_model, toy_task(kind), settings={"lr": 1e-3, "batch_size": 2})
        for kind in kinds
    )
    done = []

    def carry(todo):
        stages = Plan(tuple(todo), {}, store.artifacts).stages(todo)
        count = len(done)
        options = dict(
            workers=1,
            device="cpu",
            threads=1,
            on_done=lambda work, outcome: done.append((work, outcome)),
        )
        assert execute(stages, store, **options) == 0, [outcome for _, outcome in done]
        return [work for work, _ in done[count:]]

    first = carry(jobs)
    assert sorted(work.kind for work in first if isinstance(work, Preparation)) == [
        "pair",
        "single",
    ]
    files = {file: file.stat().st_mtime_ns for file in store.artifacts.root.iterdir()}
    assert len(files) == 2
    others = [
        toy_job(SMASH, tiny_model, toy_task(kind), settings={"tune": False}) for kind in kinds
    ]
    second = carry(others)
    assert all(isinstance(work, Job) for work in second) and len(second) == 3
    assert {file: file.stat().st_mtime_ns for file in store.artifacts.root.iterdir()} == files
    told = next(outcome.record for work, outcome in done if isinstance(work, Job))
    assert told is not None and told.details["prepared"]["examples"] > 0


def test_what_determines_a_student(tiny_model, tiny, text):
    def key(**settings):
        return job_of(tiny_model, tiny_model, text, **settings).preparation.key

    plain = key()
    assert plain == key(tune=False) == key(lr=1e-3) == key(kind="regression")
    others = {
        key(kind="pair"),
        key(objective="rule"),
        key(hidden=0.01),
        key(keep=0.1),
        key(pretrain_steps=4),
    }
    others.add(job_of(tiny_model, tiny("distilbert"), text).preparation.key)
    others.add(job_of(tiny("distilbert"), tiny_model, text).preparation.key)
    text.write_text(text.read_text() + "\n\nOne more.")
    assert len(others | {plain, key()}) == 9


def test_zero_shot_is_the_distilled_student_as_it_is(tiny_model, artifacts, text):
    job = job_of(tiny_model, tiny_model, text, tune=False)
    tensors = built(job, artifacts)
    record, predictions = run_job(job, artifacts)
    assert (
        record.error is None and "curve" not in record.details and len(record.selection.trials) == 1
    )
    backbone = Models(CPU).fresh(job.run.student)
    assert set(dict(backbone.model.named_parameters())) == set(tensors)
    backbone.model.load_state_dict(tensors, strict=False)
    expected = prompt_model(backbone, job.task).predict(job.split.test).array
    assert np.array_equal(predictions.array, expected)


def test_a_teacher_of_another_family_with_the_same_vocabulary(tiny, artifacts, text):
    """The more updates, the nearer the student's words at the mask are to the teacher's."""
    gaps = []
    for steps in (1, 80):
        job = job_of(
            tiny("roberta"), tiny("distilbert"), text, pretrain_steps=steps, pretrain_lr=3e-3
        )
        models = Models(CPU)
        student, teacher = models.fresh(job.run.student), models.fresh(job.run.teacher)
        student.model.load_state_dict(built(job, artifacts), strict=False)
        read = [prompt_model(model, job.task).eval() for model in (student, teacher)]
        batch = read[0].collate(read[0].encode(job.split.test))
        with torch.no_grad():
            given, wanted = (
                model.backbone.vocabulary_scores(batch).log_softmax(-1) for model in read
            )
        gaps.append(float((wanted.exp() * (wanted - given)).sum(-1).mean()))
    assert 0 < gaps[1] < 0.85 * gaps[0]


@pytest.mark.parametrize(("kind", "same_teacher"), [("pair", True), ("single", False)])
def test_the_rule_asks_the_teacher_for_sentences_alone(
    tiny_model, tiny, artifacts, text, kind, same_teacher
):
    rule = {"kind": kind, "objective": "rule", "keep": 0.5, "pretrain_lr": 1e-2}
    mine, other = (
        built(job_of(tiny_model, tiny(name), text, **rule), artifacts)
        for name in ("bert", "distilbert")
    )
    assert same(mine, other) == same_teacher
    taught = [
        built(job_of(tiny_model, tiny(name), text, kind=kind), artifacts)
        for name in ("roberta", "distilbert")
    ]
    assert not same(*taught)


@pytest.mark.parametrize("preset", [{}, *SMASH.presets.values()])
def test_it_is_the_same_when_it_is_built_again(tiny_model, artifacts, text, preset):
    job = job_of(tiny_model, tiny_model, text, **preset)
    assert same(built(job, artifacts), built(job, artifacts))
    original = dict(Models(CPU).pretrained(job.run.student).model.named_parameters())
    assert not same(built(job, artifacts), original)


def test_t5_keeps_the_contract(tiny_t5):
    check_method(SMASH, tiny_t5)


def other_vocabulary(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of a model in whose vocabulary one token is replaced by a new one."""
    copy = shutil.copytree(folder, tmp_path / "other")
    file = copy / "tokenizer.json"
    file.write_text(file.read_text("utf-8").replace('"dog"', '"wolf"'), "utf-8")
    return copy


def test_what_does_not_go_together_is_refused_before_anything_runs(tiny_model, tmp_path, text):
    def carry(job):
        stages = Plan((job,), {}, Artifacts(tmp_path / "artifacts")).stages([job])
        execute(
            stages,
            Store(tmp_path),
            workers=1,
            device="cpu",
            threads=1,
            on_done=lambda work, outcome: None,
        )

    other = other_vocabulary(tiny_model, tmp_path)
    with pytest.raises(BenchError, match="distributions over them cannot be compared") as caught:
        carry(job_of(tiny_model, other, text))
    assert "smash on toy-single" in str(caught.value) and caught.value.fix
    with pytest.raises(BenchError, match=r"keep=2\.0"):
        carry(job_of(tiny_model, tiny_model, text, keep=2.0))
    text.write_text("Too short.\nTo make pairs of.\n")
    with pytest.raises(BenchError, match="need two documents of 4 sentences") as caught:
        carry(job_of(tiny_model, tiny_model, text, kind="pair"))
    assert "prepare smash pair" in str(caught.value)
    assert not (tmp_path / "artifacts").exists() and not (tmp_path / "runs").exists()


def test_a_run_whose_student_was_not_built_says_so(tiny_model, artifacts, text):
    from fewbench.runner.run import carry_out

    record, _ = carry_out(job_of(tiny_model, tiny_model, text), Models(CPU), 1, artifacts)
    assert (
        record.status == "failed"
        and "prepare smash single" in record.error
        and "was not built" in record.error
    )


def test_diverged_training_is_no_artifact(tiny_model, artifacts, text):
    job = job_of(tiny_model, tiny_model, text, pretrain_lr=1e30)
    job = replace(
        job,
        preparation=replace(
            job.preparation, settings={**job.preparation.settings, "pretrain_steps": 9}
        ),
    )
    assert "diverged" in (prepare(job.preparation, Models(CPU), artifacts) or "")
    assert not artifacts.root.exists()
