"""Pipelines by name, the plan's graph, and what runs fetch of what others built."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods, read_method
from fewbench.registry.pipeline import pipeline, settings_of
from fewbench.registry.settings import choose_methods
from fewbench.runner.jobs import Plan, Preparation
from fewbench.runner.local import execute
from fewbench.runner.run import carry_out
from fewbench.store.artifacts import Artifacts
from fewbench.store.store import Store
from fewbench.testing import run_job, toy_job, toy_protocol, toy_task

STEP = '''
"""A step."""
NEEDS = ("teacher",)
{constants}
def transform(model, task, split, kit, *, teacher: str = "ft", size: int = 1, lr: float = 0.1):
    {body}
    return model
'''


@pytest.fixture
def step(tmp_path):
    def make(name, constants="", body="pass"):
        file = tmp_path / f"{name}.py"
        file.write_text(STEP.format(constants=constants, body=body), "utf-8")
        return file

    return make


def test_a_pipeline_is_its_steps(step):
    files = [step("one", 'SEARCH = ("lr",)'), step("two", 'SEARCH = ("lr",)', "size += 1")]
    known = methods(files)
    made = pipeline("one+two", known)
    assert [part.name for part in made.steps] == ["one", "two"]
    assert made.settings == {
        f"{name}.{key}": v for name in ("one", "two") for key, v in known["one"].settings.items()
    }
    assert (made.needs, made.search, made.trained_by) == (("teacher",), ("lr",), "one.teacher")
    assert made.code_hash() not in {
        known["one"].code_hash(),
        pipeline("two+one", known).code_hash(),
    }
    assert settings_of(made.steps[1], made, {"two.size": 3, "one.size": 2, "lr": 0.5}) == {
        "size": 3,
        "lr": 0.5,
    }
    assert made.searched({"one.lr": 1.0}) == ("lr",)
    assert made.searched({"one.lr": 1.0, "two.lr": 1.0}) == ()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("truncate+ft", "'ft' in 'truncate.ft' is no step"),
        ("truncate+finetun", "unknown step 'finetun'"),
        ("truncate+truncate", "a step twice"),
        ("truncate+", "unknown step ''"),
    ],
)
def test_pipelines_that_make_no_sense(name, problem):
    with pytest.raises(BenchError, match=problem):
        choose_methods([name])


def test_nothing_follows_a_last_step(step):
    known = methods([step("bits", "LAST = True"), step("more")])
    with pytest.raises(BenchError, match=r"more follows bits, which must be the last") as caught:
        pipeline("bits+more", known)
    assert "more+bits" in str(caught.value)


def test_a_step_names_who_trains_its_teacher(tmp_path):
    file = tmp_path / "lost.py"
    file.write_text("def transform(model, task, split, kit):\n    return model\n", "utf-8")
    with pytest.raises(BenchError, match="needs one and names the method"):
        read_method(file)


@pytest.mark.parametrize("name", ["truncate+kd", "head-prune+pkd", "truncate+kd+ptq"])
def test_a_later_step_has_no_teacher_of_its_own(name):
    """It would be stored as that of the run, and teach nothing."""
    (first, second) = name.split("+")[:2]
    with pytest.raises(BenchError) as refused:
        choose_methods([f"{name}:{second}.teacher=prompt-ft"])
    assert f"'{second}.teacher' in '{name}'" in str(refused.value)
    assert f"--methods {name}:{first}.teacher=prompt-ft" in str(refused.value)
    (chosen,) = choose_methods([f"{name}:{first}.teacher=prompt-ft"])
    assert chosen.settings == {f"{first}.teacher": "prompt-ft"}


def test_settings_are_bound_by_step():
    (choice,) = choose_methods(["truncate+finetune:truncate.layers=1,finetune.lr=0.1"])
    assert choice.settings == {"finetune.lr": 0.1, "truncate.layers": 1}
    with pytest.raises(BenchError, match=r"no setting 'layers'"):
        choose_methods(["truncate+finetune:layers=1"])


def test_the_teacher_is_a_run_that_is_done_once(tiny_model, tmp_path):
    artifacts = Artifacts(tmp_path)
    job = toy_job(
        pipeline("truncate+finetune", methods()), tiny_model, settings={"truncate.layers": 1}
    )
    assert job.teacher is not None
    assert (job.teacher.run.method, job.teacher.run.student) == ("ft", job.run.teacher)
    plan = Plan((job,), {}, artifacts)
    assert plan.stages([job]) == [[job.teacher], [job]]
    record, predictions = run_job(job, artifacts)
    assert (record.status, record.error) == ("ok", None)
    assert predictions is not None
    assert artifacts.has(job.teacher.model_key)
    assert plan.stages([job]) == [
        [job.teacher],
        [job],
    ]  # a death came between its model and its record
    taught = replace(record, run=job.teacher.run, method_code=job.teacher.method.code_hash())
    stored = {job.teacher.key: taught}
    assert replace(plan, records=stored).stages([job]) == [[job]]
    for other in (replace(taught, status="failed"), replace(taught, method_code="older")):
        assert replace(plan, records={job.teacher.key: other}).stages([job]) == [
            [job.teacher],
            [job],
        ]
    assert record.selection.settings == {
        "truncate.layers": 1,
        **job.trials[record.selection.trial],
    }


def test_two_students_share_a_teacher_and_a_requested_run_is_the_teacher(tiny_model, tmp_path):
    known = methods()
    own = toy_job(known["ft"], tiny_model)
    jobs = [own, toy_job(known["truncate"], tiny_model), toy_job(known["finetune"], tiny_model)]
    stages = Plan(tuple(jobs), {}, Artifacts(tmp_path)).stages(jobs)
    assert [[work.key for work in stage] for stage in stages] == [
        [own.key],
        [jobs[1].key, jobs[2].key],
    ]
    assert stages[0][0].keep


def test_a_student_whose_teacher_failed_says_so(tiny_model, tmp_path):
    job = toy_job(methods()["truncate"], tiny_model)
    record, _ = carry_out(job, Models(torch.device("cpu")), 1, Artifacts(tmp_path))
    assert record.status == "failed"
    assert "the teacher (toy-single@toy ft k2 s13) was not built" in (record.error or "")


def test_who_cannot_train_a_teacher(tiny_model):
    with pytest.raises(
        BenchError, match="'majority' cannot train the teacher of truncate"
    ) as caught:
        toy_job(methods()["truncate"], tiny_model, settings={"teacher": "majority"})
    assert "prompt-ft" in str(caught.value)


SHARER = '''
"""Prepares a number and answers with it."""
import torch
import numpy as np
from fewbench.types import Predictions
PREPARES = {"single": "one", "pair": "two"}
class Constant:
    def __init__(self, value):
        self.value = value
    def predict(self, examples):
        shares = np.tile(np.float32([self.value, 0, 1 - self.value]), (len(examples), 1))
        return Predictions(tuple(e.id for e in examples), probabilities=shares)
def prepare(kind, world, *, value: float = 0.25):
    if value < 0:
        raise ValueError("less than nothing")
    return {"value": torch.tensor([value if kind == "one" else 1.0])}
def fit(task, split, kit, *, other: int = 1):
    return Constant(float(kit.prepared()["value"]))
'''


@pytest.fixture
def sharer(tmp_path):
    file = tmp_path / "sharer.py"
    file.write_text(SHARER, "utf-8")
    return read_method(file)


def test_a_preparation_is_built_once_for_all_tasks_of_a_format(sharer, tiny_model, tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    jobs = [
        toy_job(sharer, tiny_model, settings={"other": n}, seed=s) for n, s in ((1, 13), (2, 21))
    ]
    stages = Plan(tuple(jobs), {}, artifacts).stages(jobs)
    assert [len(stage) for stage in stages] == [1, 2]
    assert isinstance(stages[0][0], Preparation)
    assert stages[0][0].title == "prepare sharer one"
    _, predictions = run_job(jobs[0], artifacts)
    assert predictions is not None
    assert predictions.array[0].tolist() == [0.25, 0, 0.75]
    assert Plan(tuple(jobs), {}, artifacts).stages(jobs) == [jobs]
    other = [
        toy_job(sharer, tiny_model, settings={"value": 0.5}),
        toy_job(sharer, tiny_model, toy_task("pair")),
    ]
    assert len({job.preparation.key for job in [*jobs, *other] if job.preparation}) == 3


def test_a_preparation_that_fails_fails_its_runs(sharer, tiny_model, tmp_path):
    job = toy_job(sharer, tiny_model, settings={"value": -1.0}, protocol=toy_protocol())
    with pytest.raises(AssertionError, match="less than nothing"):
        run_job(job, Artifacts(tmp_path / "artifacts"))
    record, _ = carry_out(job, Models(torch.device("cpu")), 1, Artifacts(tmp_path / "artifacts"))
    assert "prepare sharer one value=-1.0 was not built" in (record.error or "")
    choice, _ = carry_out(
        toy_job(sharer, tiny_model, toy_task("choice")), Models(torch.device("cpu")), 1
    )
    assert "nothing is prepared for tasks of the format 'choice'" in (choice.error or "")


def test_what_prepare_takes_is_a_setting_that_fit_need_not_have(sharer):
    assert sharer.settings == {"value": 0.25, "other": 1}
    assert (sharer.prepare_settings, sharer.fit_settings) == (("value",), ("other",))


@pytest.mark.parametrize(
    ("raised", "told"),
    [("BenchError('no corpus')", "no corpus"), ("ValueError('odd')", "broke down")],
)
def test_what_is_prepared_is_looked_at_before_anything_runs(tiny_model, tmp_path, raised, told):
    file = tmp_path / "wary.py"
    check = (
        f"def check_prepare(kind, world, *, value):\n    assert value == 0.5\n    raise {raised}\n"
    )
    file.write_text(SHARER + "from fewbench.errors import BenchError\n" + check, "utf-8")
    job = toy_job(read_method(file), tiny_model, settings={"value": 0.5})
    store = Store(tmp_path / "results")
    stages = Plan((job,), {}, store.artifacts).stages([job])
    with pytest.raises(BenchError, match=told) as caught:
        execute(
            stages,
            store,
            workers=1,
            device="cpu",
            threads=1,
            on_done=lambda *_: pytest.fail("something ran"),
        )
    assert caught.value.where in ("prepare wary one value=0.5", str(file))


def test_a_setting_that_is_on_says_what_is_prepared(tmp_path):
    file = tmp_path / "either.py"
    file.write_text(
        SHARER.replace('"pair": "two"}', '"other": "both"}').replace(
            "other: int = 1", "other: bool = False"
        ),
        "utf-8",
    )
    method = read_method(file)
    assert [method.prepared_kind(form, {}) for form in ("single", "pair")] == ["one", None]
    assert [method.prepared_kind(form, {"other": True}) for form in ("single", "pair")] == [
        "both",
        "both",
    ]


def test_a_protocol_says_with_what_something_is_prepared(sharer, tiny_model):
    protocol = toy_protocol(prepare={"value": 0.75, "others": 1})
    assert toy_job(sharer, tiny_model, protocol=protocol).preparation.settings == {"value": 0.75}
    own = toy_job(sharer, tiny_model, settings={"value": 0.5}, protocol=protocol)
    assert own.preparation.settings == {"value": 0.5}
