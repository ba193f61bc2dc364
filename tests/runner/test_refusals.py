"""A method that refuses its models is left out of `all`, with the reason, and an error by name."""

from __future__ import annotations

import json

import pytest

from fewbench.errors import BenchError
from fewbench.registry.methods import read_method
from fewbench.runner.jobs import Plan
from fewbench.runner.refusals import settle
from fewbench.store.artifacts import Artifacts
from fewbench.testing import toy_job

REFUSING = """
from fewbench.errors import BenchError
NEEDS = ("student",)
def fit(task, split, kit): ...
def check(task, student, teacher, **settings):
    if student.config.hidden_size == 16:
        raise BenchError("16 is too narrow")
"""


@pytest.fixture
def plan(tmp_path, tiny_model):
    """Return a plan of a method that refuses and one that does not, the first under `all`."""

    def make(names=("refusing", "content")):
        jobs = []
        for name in names:
            file = tmp_path / f"{name}.py"
            file.write_text(REFUSING.replace("16:", "16:" if name == "refusing" else "8:"), "utf-8")
            jobs += [toy_job(read_method(file), tiny_model, seed=seed) for seed in (1, 2)]
        unnamed = frozenset(job.key for job in jobs if job.method.name == "refusing")
        return Plan(tuple(jobs), {}, Artifacts(tmp_path), ("something else",), unnamed)

    return make


def test_left_out_with_the_reason_once(plan):
    made = plan()
    kept = settle(made, made.todo())
    assert [job.method.name for job in kept.jobs] == ["content", "content"]
    assert kept.left_out == ("something else", "method 'refusing': 16 is too narrow")


def test_a_record_that_is_there_stays(plan):
    made = plan()
    assert settle(made, [job for job in made.jobs if job.method.name == "content"]) is made


def test_where_all_refuse_it_is_an_error(plan):
    made = plan(("refusing",))
    with pytest.raises(BenchError, match="16 is too narrow"):
        settle(made, made.todo())


def test_real_models_of_two_widths(bench, shared, tmp_path):
    models = {name: shared / "models" / name for name in ("splade-tiny-mlm", "minilm-l6-mlm")}
    given = (
        "--tasks",
        "demo-sentiment",
        "--seeds",
        13,
        "--results",
        tmp_path,
        "--dry-run",
        "--json",
        "--offline",
    )
    given = (*given, "--student", models["splade-tiny-mlm"], "--teacher", models["minilm-l6-mlm"])
    done = bench("run", "--methods", "all", *given)
    assert done.returncode == 0, done.stderr
    planned = {row["method"] for row in json.loads(done.stdout)["plan"]}
    assert {"ft", "vanilla-kd", "truncate+kd", "pkd"} <= planned  # by a learned map
    assert "tinybert" not in planned
    assert "left out: method 'tinybert': splade-tiny-mlm has 2 heads a layer" in done.stderr


@pytest.mark.parametrize(
    ("method", "refused"),
    [("pet", "no unlabelled"), ("prompt-distiller", "no texts over"), ("prompt-distiller:n=0", "")],
)
def test_a_pool_that_full_data_leaves_empty(bench, tmp_path, method, refused):
    given = ("--tasks", "demo-sentiment", "--k", "full", "--results", tmp_path, "--dry-run")
    done = bench("run", "--methods", method, *given)
    assert done.returncode == (2 if refused else 0)
    assert refused in done.stderr


def test_with_all_such_a_method_is_left_out(bench, tmp_path):
    given = ("--tasks", "demo-sentiment", "--k", "full", "--results", tmp_path, "--dry-run")
    done = bench("run", "--methods", "few-shot", *given)
    assert done.returncode == 0, done.stderr
    assert "left out: method 'pet': the split leaves no unlabelled texts over" in done.stderr
