"""Which methods go with which tasks and models."""

from __future__ import annotations

import json

import pytest

from fewbench.errors import BenchError
from fewbench.models import backbone_kind
from fewbench.plan import STUDENT, TEACHER, Request, make_plan
from fewbench.store import Store
from fewbench.types import ModelRef

TASK = """
[{name}]
title = "A test"
paper = "none: a test"
licence = "Apache-2.0"
version = 1
format = "single"
{labels}
template = "{{0}} It was {{mask}}."
max_length = 32

[[{name}.source]]
name = "files"
folder = "."
path = "rows"
train = "train"
test = "test"
texts = ["text"]
label = "label"
hub = false
"""
MOOD = 'labels = ["bad", "good"]\nmetric = "accuracy"\nwords = { bad = "terrible", good = "great" }'
GRADE = (
    'bounds = [0.0, 1.0]\nmetric = "pearson"\nwords = { low = "terrible", high = "great" }\nlabels = ["low", "high"]'
)


@pytest.fixture
def plan(tmp_path, tiny_model):
    """Plan a method that takes no regression, on two tasks of one file."""
    (tmp_path / "rows").mkdir()
    for name in ("train", "test"):
        rows = [{"text": f"{name} {n}", "label": n % 2} for n in range(8)]
        (tmp_path / "rows" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tasks, method = tmp_path / "two.toml", tmp_path / "picky.py"
    tasks.write_text(TASK.format(name="mood", labels=MOOD) + TASK.format(name="grade", labels=GRADE))
    method.write_text('NEEDS = ("student",)\nKINDS = ("single",)\ndef fit(task, split, kit): ...\n')

    def make(methods=(str(method),), tasks=(str(tasks),), student=tiny_model, k=(2,)):
        request = Request(tuple(methods), tuple(tasks), k=k, seeds=(1,), student=str(student), offline=True)
        return make_plan(request, Store(tmp_path / "results"))

    return make


def test_a_task_that_came_with_others_is_left_out_and_said(plan):
    made = plan()
    assert [(job.run.method, job.run.task) for job in made.jobs] == [("picky", "mood")]
    assert made.left_out == ("method 'picky' takes no regression task, and 'grade' is one",)


def test_several_k_are_runs_of_their_own(plan):
    made = plan(k=(1, 2))
    assert [(job.run.k, job.run.seed) for job in made.jobs] == [(1, 1), (2, 1)]
    assert len({job.run.fingerprint for job in made.jobs}) == 2
    assert len({job.run.test_fingerprint for job in made.jobs}) == 1


def test_a_method_and_a_task_by_name_that_do_not_go_together_are_an_error(plan, tmp_path):
    with pytest.raises(BenchError, match=r"picky.*takes no regression task, and 'grade'"):
        plan(tasks=(str(tmp_path / "two.toml"), "grade"))
    assert plan(tasks=(str(tmp_path / "two.toml"), "mood")).left_out


def test_a_model_of_a_kind_that_the_method_does_not_read(plan, tiny_model, tmp_path):
    folder = tmp_path / "gpt"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(BenchError, match="'picky' reads no causal language models, and 'gpt' is one") as caught:
        plan(student=folder)
    assert caught.value.allowed == "masked"
    made = plan(("all",), student=folder)
    assert "majority" in {job.run.method for job in made.jobs} and "ft" not in {job.run.method for job in made.jobs}
    assert "method 'ft' reads no causal language models, and 'gpt' is one" in made.left_out


def test_the_embedded_teacher_teaches_the_embedded_student_alone(plan):
    with pytest.raises(BenchError, match="'truncate' needs a teacher") as caught:
        plan(("truncate",))
    assert "--teacher MODEL" in str(caught.value)
    made = plan(("all",))
    assert "ft" in {job.run.method for job in made.jobs} and not any(job.run.teacher for job in made.jobs)
    assert {"method 'truncate' needs a teacher", "method 'vanilla-kd' needs a teacher"} <= set(made.left_out)
    embedded = plan(("truncate",), student=STUDENT)
    assert {job.run.teacher.name for job in embedded.jobs} == {TEACHER}


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ('{"model_type": "bert"}', "masked"),
        ('{"model_type": "gpt2"}', "causal"),
        ('{"model_type": "t5", "is_encoder_decoder": true}', "encoder-decoder"),
        ("damaged", "masked"),
    ],
)
def test_the_kind_of_a_model_by_its_configuration(tmp_path, config, kind):
    (tmp_path / "config.json").write_text(config)
    assert backbone_kind(ModelRef("m", str(tmp_path), config)) == kind
