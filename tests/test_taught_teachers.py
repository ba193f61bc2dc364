"""Teachers that were taught themselves: teacher assistants, static teaching, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fewbench.errors import BenchError
from fewbench.registry.methods import methods
from fewbench.registry.settings import choose_methods, split_list
from fewbench.registry.teachers import lineage, teacher_of
from fewbench.runner.jobs import Plan
from fewbench.runner.plan import Request, make_plan
from fewbench.store.artifacts import Artifacts
from fewbench.store.store import Store
from fewbench.testing import run_job, toy_job, toy_task

KNOWN = methods()
ASSISTANT = "truncate+kd:truncate.layers=1"
QUICK = {"lr": 1e-3, "batch_size": 2}


def names(request, known=KNOWN):
    (choice,) = choose_methods(request, known)
    return [taught.method.name for taught in lineage(choice.method, choice.settings, known)]


def test_a_teacher_assistant_stands_between_teacher_and_student(tiny_model, tmp_path):
    """TAKD (Mirzadeh et al., 2020): each is a run of its own, and each waits for the one before."""
    job = toy_job(KNOWN["vanilla-kd"], tiny_model, settings=QUICK | {"teacher": ASSISTANT})
    student, assistant, teacher = job.lineage
    assert [other.run.method for other in job.lineage] == ["vanilla-kd", "truncate+kd", "ft"]
    assert assistant.run.settings == {"truncate.layers": 1}
    assert (assistant.run.student, assistant.run.teacher) == (None, job.run.teacher)
    artifacts = Artifacts(tmp_path)
    assert Plan((job,), {}, artifacts).stages([job]) == [[teacher], [assistant], [student]]
    assert student.run.inputs.teacher == assistant.key
    assert assistant.run.inputs.teacher == teacher.key
    record, taught = run_job(job, artifacts)
    assert record.error is None
    assert record.details["teacher"]["run"] == assistant.key
    plain = toy_job(KNOWN["vanilla-kd"], tiny_model, settings=QUICK)
    assert plain.key != job.key
    assert not np.array_equal(run_job(plain, artifacts)[1].array, taught.array)


def test_what_is_stored_of_teachers_teachers_is_known(tmp_path):
    request = Request(
        (f"vanilla-kd:teacher={ASSISTANT}", "ft"),
        ("demo-sentiment",),
        k=(2,),
        seeds=(13,),
        protocol="demo",
        offline=True,
    )
    plan = make_plan(request, Store(tmp_path))
    assert [len(job.lineage) for job in plan.jobs] == [3, 1]
    assert [len(stage) for stage in plan.stages(plan.jobs)] == [2, 1, 1]


def test_settings_of_a_teacher_stand_in_brackets_where_there_are_several():
    text = f"ft,vanilla-kd:alpha=0.3,teacher=(metadistil:no-pilot,teacher=({ASSISTANT})),lr=1e-3"
    ft, request = split_list(text)
    (choice,) = choose_methods([request])
    assert (ft, choice.settings["alpha"], choice.settings["lr"]) == ("ft", 0.3, 1e-3)
    taught = list(lineage(choice.method, choice.settings, KNOWN))
    assert [other.method.name for other in taught] == ["metadistil", "truncate+kd", "ft"]
    assert taught[0].settings == {"pilot": False, "teacher": f"({ASSISTANT})"}
    assert taught[1].settings == {"truncate.layers": 1}
    assert names(["vanilla-kd:teacher=vanilla-kd"]) == ["vanilla-kd", "ft"]
    assert names(["ft"]) == []


def test_static_teaching_is_by_the_teacher_that_metadistil_leaves(tiny_model, tmp_path):
    """Thesis section 5.6.3: its model is the teacher's, and the student it learned with is kept."""
    artifacts = Artifacts(tmp_path)
    fixed = "metadistil:returns=teacher,lr=1e-3,batch_size=2,teacher_lr=1e-2"
    job = toy_job(KNOWN["vanilla-kd"], tiny_model, settings=QUICK | {"teacher": f"({fixed})"})
    assert job.teacher.run.student == job.run.student is not None
    record, static = run_job(job, artifacts)
    assert record.error is None
    plain = toy_job(KNOWN["vanilla-kd"], tiny_model, settings=QUICK)
    assert not np.array_equal(run_job(plain, artifacts)[1].array, static.array)
    other = toy_job(
        KNOWN["vanilla-kd"],
        tiny_model,
        settings=QUICK | {"teacher": f"({fixed.replace('1e-2', '0.0')})"},
    )  # a teacher that was not moved is the fine-tuned one
    np.testing.assert_array_equal(
        run_job(plain, artifacts)[1].array, run_job(other, artifacts)[1].array
    )


@pytest.mark.parametrize(
    ("teacher", "problem"),
    [
        ("majority", "'majority' cannot train the teacher of vanilla-kd"),
        ("al", "'al' cannot train the teacher of vanilla-kd"),
        ("truncate+kf", "unknown step 'kf' in 'truncate.kf'"),
        ("truncate+kd:layers=1", "no setting 'layers'"),
        ("(ft:lr=-1)", "'-1' does not fit ft:lr"),
        ("vanilla-kd:teacher=majority", "'majority' cannot train the teacher of vanilla-kd"),
    ],
)
def test_refused_before_anything_is_read(tmp_path, teacher, problem):
    request = Request((f"vanilla-kd:teacher={teacher}",), ("demo",), offline=True)
    with pytest.raises(BenchError, match=problem):
        make_plan(request, Store(tmp_path))


def test_no_method_trains_its_own_teacher():
    info = KNOWN["vanilla-kd"]
    circle = {
        name: replace(info, name=name, settings={**info.settings, "teacher": other})
        for name, other in (("one", "two"), ("two", "one"))
    }
    assert teacher_of(circle["one"], {}, circle).method.name == "two"
    with pytest.raises(BenchError, match="its own teacher: one < two < one"):
        names(["one"], circle)


def test_a_teacher_that_does_not_take_the_task(tiny_model):
    with pytest.raises(BenchError, match="'prompt-distiller' trains no teacher of vanilla-kd"):
        toy_job(
            KNOWN["vanilla-kd"],
            tiny_model,
            toy_task("regression"),
            settings={"teacher": "prompt-distiller"},
        )
