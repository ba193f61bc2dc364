"""A grid of runs in one file."""

from __future__ import annotations

import pytest

from fewbench.errors import BenchError
from fewbench.runner.grid_file import read_requests
from fewbench.runner.plan import Request, joined, make_plan
from fewbench.store.store import Store

GRID = """
tasks = ["demo-sentiment"]
seeds = [13, 21]
student = ["fewbench-micro", "fewbench-mini"]

[[runs]]
methods = ["zero-shot", "majority"]
k = [16, "total-8"]

[[runs]]
methods = "ft"
k = "full"
seeds = 42
"""

BASE = Request(methods=("all",), tasks=("demo",))


def grid(tmp_path, text=GRID):
    file = tmp_path / "grid.toml"
    file.write_text(text, "utf-8")
    return file


def test_a_block_is_a_request_for_each_student(tmp_path):
    requests = read_requests(grid(tmp_path), BASE, ())
    assert [(r.methods, r.k, r.seeds, r.student, r.protocol) for r in requests] == [
        (("zero-shot", "majority"), (16, "total-8"), (13, 21), "fewbench-micro", "quick"),
        (("zero-shot", "majority"), (16, "total-8"), (13, 21), "fewbench-mini", "quick"),
        (("ft",), ("full",), (42,), "fewbench-micro", "full"),
        (("ft",), ("full",), (42,), "fewbench-mini", "full"),
    ]
    assert {r.tasks for r in requests} == {("demo-sentiment",)}


def test_the_command_line_comes_before_the_file(tmp_path):
    base = Request(methods=("ft",), tasks=("demo",), seeds=(87,), protocol="demo")
    requests = read_requests(grid(tmp_path), base, ("methods", "seeds", "protocol", "student"))
    assert [(r.methods, r.k, r.seeds, r.student, r.protocol) for r in requests] == [
        (("ft",), (16, "total-8"), (87,), "fewbench-micro", "demo"),
        (("ft",), ("full",), (87,), "fewbench-micro", "demo"),
    ]


def test_a_file_without_blocks_is_one_request(tmp_path):
    (request,) = read_requests(grid(tmp_path, 'methods = "ft"\nkeep_models = true\n'), BASE, ())
    assert request.methods == ("ft",) and request.tasks == ("demo",) and request.keep_models
    assert request.protocol == "demo"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("method = 'ft'", "unknown key 'method'"),
        ("[runs]\nk = 1", "'runs' is {'k': 1}"),
        ("k = 'some'", "K is 'some'"),
        ("seeds = ['13']", "'seeds' is ['13']"),
        ("methods = []", "'methods' is []"),
        ("limit = 0", "'limit' is 0"),
        ("drop_leaks = 1", "'drop_leaks' is 1"),
        ("k = ", "not TOML"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path, text, said):
    file = grid(tmp_path, text)
    with pytest.raises(BenchError) as caught:
        read_requests(file, BASE, ())
    assert said in caught.value.problem and str(file) in str(caught.value)


def test_plans_are_joined_with_each_run_once(tmp_path):
    store = Store(tmp_path)
    some = Request(methods=("majority", "zero-shot"), tasks=("demo-sentiment",), seeds=(13,))
    more = Request(methods=("majority",), tasks=("demo-sentiment",), seeds=(13, 21))
    plan = joined([make_plan(some, store), make_plan(more, store)])
    assert sorted((job.run.method, job.run.seed) for job in plan.jobs) == [
        ("majority", 13),
        ("majority", 21),
        ("zero-shot", 13),
    ]


def test_the_command_runs_a_grid_and_nothing_twice(bench, tmp_path):
    file = grid(tmp_path, GRID.replace('methods = "ft"', 'methods = "majority"'))
    command = ("run", "--config", file, "--results", tmp_path / "r", "--workers", 1)
    assert bench(*command).returncode == 0
    # A method that reads no model has one run, whatever the student.
    assert len(list((tmp_path / "r" / "runs").rglob("k*.json"))) == 2 * 2 * 2 + 2 * 2 + 1
    again = bench(*command)
    assert again.returncode == 0
    assert "nothing to do: 13 runs already stored" in again.stderr
