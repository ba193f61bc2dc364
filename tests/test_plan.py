"""Which methods go with which tasks and models."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fewbench.errors import BenchError
from fewbench.registry.pretrained import backbone_kind
from fewbench.registry.protocols import get_protocol
from fewbench.runner.plan import STUDENT, TEACHER, Request, make_plan
from fewbench.runner.verdict import failure
from fewbench.store.store import Store
from fewbench.types import Inputs, ModelRef

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
GRADE = 'bounds = [0.0, 1.0]\nmetric = "pearson"\nwords = { low = "terrible", high = "great" }\nlabels = ["low", "high"]'


@pytest.fixture
def plan(tmp_path, tiny_model):
    """Plan a method that takes no regression, on two tasks of one file."""
    (tmp_path / "rows").mkdir()
    for name in ("train", "test"):
        rows = [{"text": f"{name} {n}", "label": n % 2} for n in range(8)]
        (tmp_path / "rows" / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows)
        )
    tasks, method = tmp_path / "two.toml", tmp_path / "picky.py"
    tasks.write_text(
        TASK.format(name="mood", labels=MOOD) + TASK.format(name="grade", labels=GRADE)
    )
    method.write_text('NEEDS = ("student",)\nKINDS = ("single",)\ndef fit(task, split, kit): ...\n')

    def make(methods=(str(method),), tasks=(str(tasks),), student=tiny_model, k=(2,)):
        request = Request(
            tuple(methods), tuple(tasks), k=k, seeds=(1,), student=str(student), offline=True
        )
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
    with pytest.raises(
        BenchError, match="'picky' reads no causal language models, and 'gpt' is one"
    ) as caught:
        plan(student=folder)
    assert caught.value.allowed == "masked"
    made = plan(("all",), student=folder)
    assert {"majority", "ft"} <= {job.run.method for job in made.jobs} and "warp" not in {
        job.run.method for job in made.jobs
    }
    assert "method 'warp' reads no causal language models, and 'gpt' is one" in made.left_out


def test_the_embedded_teacher_teaches_the_embedded_student_alone(plan):
    with pytest.raises(BenchError, match="'truncate' needs a teacher") as caught:
        plan(("truncate",))
    assert "--teacher MODEL" in str(caught.value)
    made = plan(("all",))
    assert "ft" in {job.run.method for job in made.jobs} and not any(
        job.run.teacher for job in made.jobs
    )
    assert {"method 'truncate' needs a teacher", "method 'vanilla-kd' needs a teacher"} <= set(
        made.left_out
    )
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


def stored(made, store):
    """Store a record of every run of a plan, as its method's code of today would."""
    for job in made.jobs:
        record = failure(job, "stored by a test", "cpu", 1)
        store.save(
            replace(record, status="ok", error=None, scores={"test": {"accuracy": 0.5}}), None
        )


EDITS = {
    "the template": ('template = "{0} It was', 'template = "{0} All in all it was'),
    "the label words": ('bad = "terrible", good = "great"', 'bad = "great", good = "terrible"'),
    "the longest input": ("max_length = 32", "max_length = 24"),
    "the metric": ('metric = "accuracy"', 'metric = "mcc"'),
    "another metric beside": ('metric = "accuracy"', 'metric = "accuracy"\nmetrics = ["macro_f1"]'),
    "the version": ("version = 1", "version = 2"),
}


@pytest.mark.parametrize("what", EDITS)
def test_another_definition_of_a_task_is_another_run(plan, tmp_path, what):
    old, new = EDITS[what]
    tasks, store = tmp_path / "two.toml", Store(tmp_path / "results")
    made = plan()
    stored(made, store)
    assert plan().todo() == []
    text = tasks.read_text("utf-8")
    assert old in text
    tasks.write_text(text.replace(old, new), "utf-8")
    assert len(plan().todo()) == len(made.jobs)


TITLES = {"title": ('title = "A test"', 'title = "Another"'), "licence": ("Apache-2.0", "MIT")}


@pytest.mark.parametrize("what", TITLES)
def test_what_decides_no_number_makes_no_other_run(plan, tmp_path, what):
    tasks = tmp_path / "two.toml"
    stored(plan(), Store(tmp_path / "results"))
    tasks.write_text(tasks.read_text("utf-8").replace(*TITLES[what]), "utf-8")
    assert plan().todo() == []


ROWS = {
    "a doubled blank in a training text": ("train", "train 0", "train  0"),
    "a doubled blank in a test text": ("test", "test 3", "test  3"),
    "a label of a row that no split draws": (
        "train",
        '"train 7", "label": 1',
        '"train 7", "label": 0',
    ),
    "a label of a test row": ("test", '"test 3", "label": 1', '"test 3", "label": 0'),
}


@pytest.mark.parametrize("what", ROWS)
def test_other_rows_are_another_run(plan, tmp_path, what):
    name, old, new = ROWS[what]
    file = tmp_path / "rows" / f"{name}.jsonl"
    made = plan(k=(1,))
    stored(made, Store(tmp_path / "results"))
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")
    assert len(plan(k=(1,)).todo()) == len(made.jobs)


def test_the_pool_counts_for_methods_that_read_it(plan, tmp_path):
    tasks, pool = tmp_path / "two.toml", tmp_path / "rows" / "pool.jsonl"
    tasks.write_text(
        tasks.read_text("utf-8").replace('test = "test"', 'test = "test"\nunlabeled = "pool"'),
        "utf-8",
    )
    pool.write_text('{"text": "an opinion"}\n', "utf-8")
    reads, plain = tmp_path / "reads.py", tmp_path / "picky.py"
    reads.write_text(
        plain.read_text("utf-8").replace('("student",)', '("student", "unlabeled")', 1), "utf-8"
    )
    both = (str(reads), str(plain))
    stored(plan(both), Store(tmp_path / "results"))
    pool.write_text('{"text": "an invoice"}\n', "utf-8")
    assert {job.run.method for job in plan(both).todo()} == {"reads"}


def test_other_constants_of_a_protocol_are_another_run(plan, tmp_path, monkeypatch):
    made = plan()
    stored(made, Store(tmp_path / "results"))
    quick = get_protocol("quick")
    monkeypatch.setattr(
        "fewbench.runner.plan.get_protocol", lambda name: replace(quick, max_steps=61)
    )
    assert len(plan().todo()) == len(made.jobs)
    monkeypatch.setattr(
        "fewbench.runner.plan.get_protocol", lambda name: replace(quick, title="Another", ddof=1)
    )
    assert plan().todo() == []


def test_a_tokenizers_files_make_another_run(plan, tmp_path, tiny_model):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    made = plan(student=folder)
    stored(made, Store(tmp_path / "results"))
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text("utf-8") + "\n", "utf-8")
    assert len(plan(student=folder).todo()) == len(made.jobs)


def test_another_default_is_another_run_and_other_code_of_a_file_that_is_named_runs_again(
    plan, tmp_path
):
    method = tmp_path / "picky.py"
    text = method.read_text("utf-8").replace("kit)", "kit, *, lr: float = 0.1)")
    method.write_text(text, "utf-8")
    made = plan()
    stored(made, Store(tmp_path / "results"))
    assert plan().todo() == []
    method.write_text(f"{text}# only a comment\n", "utf-8")
    assert plan().todo() == []
    method.write_text(f"{text}OTHER = 1\n", "utf-8")
    assert [job.key for job in plan().todo()] == [job.key for job in made.jobs]
    method.write_text(text.replace("0.1", "0.2"), "utf-8")
    assert {job.key for job in plan().todo()}.isdisjoint(job.key for job in made.jobs)
    assert plan().records == {}


def test_records_of_other_code_are_told_in_a_line_however_many_methods_they_are_of():
    jobs = [
        SimpleNamespace(key=f"{name}{seed}", method=SimpleNamespace(name=name))
        for name in ("a", "b", "c", "d", "mine.py")
        for seed in (1, 2)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
        from fewbench.cli.earlier import of_older_code
    plan = SimpleNamespace(older_jobs=lambda: jobs)
    kept = "stored runs are of other code than today's (--force redoes them)"
    assert list(of_older_code(plan, jobs[-2:])) == [
        "mine.py: its code has changed since 2 of its runs: they are run again",
        f"a, b, c and 1 more: 8 {kept}",
    ]
    plan.older_jobs = lambda: jobs[:2]
    assert list(of_older_code(plan, [])) == [f"a: 2 {kept}"]


def test_a_module_beside_a_method_that_is_named_counts(plan, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)  # as PYTHONPATH does
    (tmp_path / "loss_of_picky.py").write_text("SIGN = 1\n", "utf-8")
    method = tmp_path / "picky.py"
    method.write_text("import loss_of_picky\n" + method.read_text("utf-8"), "utf-8")
    stored(plan(), Store(tmp_path / "results"))
    assert plan().todo() == []
    (tmp_path / "loss_of_picky.py").write_text("SIGN = -1\n", "utf-8")
    assert len(plan().todo()) == 1


def test_a_run_of_an_earlier_schema_is_no_answer(plan, tmp_path):
    store = Store(tmp_path / "results")
    job = plan().jobs[0]
    record = failure(
        replace(job, run=replace(job.run, inputs=Inputs())), "stored by a test", "cpu", 1
    )
    store.save(record, None)
    assert plan().records == {} and plan().todo() != []
