"""The command line as a user meets it: outputs, errors, exit codes, and what survives a kill."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fewbench.store.store import Store

TASK = """
[mood]
title = "Is it a good mood?"
paper = "none: a test"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["bad", "good"]
metric = "accuracy"
template = "{0} It was {mask}."
words = { bad = "terrible", good = "great" }
max_length = 32

[[mood.source]]
name = "files"
folder = "."
path = "mood"
train = "train"
test = "test"
texts = ["text"]
label = "label"
hub = false
"""


@pytest.fixture
def task(tmp_path):
    """A user's own task: 24 training and 12 test rows."""
    folder = tmp_path / "own" / "mood"
    folder.mkdir(parents=True)
    words = ("the cat was dull and poor", "the dog was lovely and brilliant")
    for name, n in (("train", 24), ("test", 12)):
        rows = [
            {
                "text": f"{words[i % 2]} {'abcdefghij'[i // 2 % 10]} {name[1]} {i // 20}.",
                "label": i % 2,
            }
            for i in range(n)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "own" / "mood.toml"
    file.write_text(TASK)
    return file


@pytest.fixture
def run(bench, task, tiny_model, tmp_path):
    """Run methods on the user's task with the tiny model, K = 4."""

    def run(methods="majority,zero-shot", *more, **options):
        given = ("--tasks", task, "--k", 4, "--seeds", "13,21", "--student", tiny_model)
        given += ("--results", tmp_path / "results")
        return bench(
            "run", "--methods", methods, *given, "--workers", 1, "--offline", *more, **options
        )

    return run


def test_run_then_nothing_to_do_then_table(run, bench, tmp_path):
    first = run()
    assert first.returncode == 0, first.stderr
    assert "majority" in first.stdout and "zero-shot" in first.stdout and "n=2" in first.stdout
    assert "[4/4]" in first.stderr
    before = {file: file.read_bytes() for file in (tmp_path / "results").rglob("*.*")}
    second = run()
    assert second.returncode == 0 and "nothing to do: 4 runs already stored" in second.stderr
    assert second.stdout == first.stdout
    assert before == {file: file.read_bytes() for file in (tmp_path / "results").rglob("*.*")}
    table = bench("table", "--results", tmp_path / "results", "--json")
    cells = json.loads(table.stdout)
    assert {(cell["method"], cell["n"], cell["mean"]) for cell in cells} >= {("majority", 2, 50.0)}
    for form, mark in (("markdown", "| method |"), ("latex", r"\toprule"), ("csv", "task,source")):
        assert mark in bench("table", "--results", tmp_path / "results", "--format", form).stdout


def test_the_demo_tasks_run_by_the_demo_protocol_unless_another_is_named(bench, tmp_path):
    def updates(*more):
        given = ("--methods", "ft", "--dry-run", "--json", "--offline", "--results", tmp_path)
        return [row["updates"] for row in json.loads(bench("run", *given, *more).stdout)["plan"]]

    glance, longer = updates(), updates("--tasks", "demo", "--protocol", "quick")
    assert updates("--tasks", "demo") == glance
    assert len(glance) == 4 and all(few < many for few, many in zip(glance, longer, strict=True))
    assert updates("--tasks", "demo-sentiment")[0] in longer


def test_dry_run_shows_the_plan_and_runs_nothing(run, tmp_path):
    done = run("majority,ft,truncate+finetune", "--teacher", "fewbench-mini", "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert plan["runs"] == 6 and plan["estimated_seconds"] is None
    assert {row["method"]: row["trials"] for row in plan["plan"]} == {
        "majority": 2,
        "ft": 4,
        "truncate+finetune": 4,
    }
    assert plan["first"] == {
        "mood@files ft on fewbench-mini k4 s13": 1,
        "mood@files ft on fewbench-mini k4 s21": 1,
    }
    assert not list((tmp_path / "results").rglob("*.json"))


def test_show_finds_a_record_by_the_start_of_its_key(run, bench, tmp_path):
    run("majority")
    record = next(iter(Store(tmp_path / "results").records()))
    shown = bench("show", record.run.key[:6], "--results", tmp_path / "results", "--json")
    assert json.loads(shown.stdout)["run"]["key"] == record.run.key
    assert "accuracy" in bench("show", record.run.key[:6], "--results", tmp_path / "results").stdout
    assert bench("show", "ffff", "--results", tmp_path / "results").returncode == 2


def test_settings_presets_and_a_method_by_path(run, tmp_path):
    method = tmp_path / "always_good.py"
    source = Path(__file__).parents[1].joinpath("methods/majority.py").read_text()
    method.write_text(
        source.replace(
            "np.bincount(labels, minlength=len(task.labels)) / len(labels)", "np.eye(2)[1]"
        )
    )
    done = run(f"{method},ft:lr=1e-3,batch_size=4", "--json")
    assert done.returncode == 0, done.stderr
    cells = {cell["method"]: cell for cell in json.loads(done.stdout)}
    assert cells.keys() == {"always-good", "ft:batch_size=4,lr=0.001"}
    assert cells["always-good"]["mean"] == 50.0


def test_a_failing_method_is_a_record_and_the_others_go_on(run, bench, tmp_path):
    method = tmp_path / "broken.py"
    method.write_text(
        '"""Breaks."""\nNEEDS = ()\n\n\ndef fit(task, split, kit):\n    raise RuntimeError("no such luck")\n'
    )
    done = run(f"{method},majority")
    assert done.returncode == 1
    assert "no such luck" in done.stderr and "2 failed" in done.stdout and "50.0" in done.stdout
    again = run(f"{method},majority")
    assert again.returncode == 1 and "2 runs failed earlier: --retry-failed" in again.stderr
    assert "2 runs" in run(f"{method},majority", "--retry-failed").stderr


@pytest.mark.parametrize(
    ("old", "new", "method", "said"),
    [
        ("max_length = 32", "max_length = 500", "zero-shot", "holds 160"),
        ('"great"', '"unbelievable"', "in-context", "tokens with this tokenizer"),
        ('"great"', '"Terrible"', "zero-shot", "share"),
    ],
)
def test_what_does_not_fit_the_model_stops_the_plan_before_it_runs(
    run, task, tmp_path, old, new, method, said
):
    task.write_text(TASK.replace(old, new))
    done = run(f"majority,{method}")
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert not list((tmp_path / "results").rglob("*.json"))


def test_a_limited_run_is_marked(run):
    done = run("majority", "--limit", 5)
    assert "a draw of 5 test rows only: NOT COMPARABLE" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "--methods", "promt-ft"), 2, "nearest: prompt-ft"),
        (("run", "--tasks", "sst2"), 2, "nearest: sst-2"),
        (("run", "--tasks", "sst-2@lmbff"), 2, "nearest: sst-2@lm-bff"),
        (("run", "--methods", "ft:lrr=1"), 2, "nearest: lr"),
        (("run", "--methods", "ft:lr=fast"), 2, "a number above 0"),
        (("run", "--protocol", "lm-bff"), 2, "lm-bff-v1"),
        (("run", "--seeds", "13,x"), 2, "whole numbers"),
        (("run", "--k", "4;8"), 2, "--k 4,16"),
        (("run", "--k", ""), 2, "--k 4,16"),
        (("run", "--seeds", ","), 2, "whole numbers"),
        (("run", "--seeds", "9" * 5000), 2, "whole numbers"),
        (("run", "--methods", ""), 2, "--methods names nothing"),
        (("run", "--methods", "ft["), 2, "ft[ ← here"),
        (("run", "--methods", "ft:layers=[1,2),majority"), 2, "a bracket without a partner: ')'"),
        (("run", "--tasks", ","), 2, "--tasks names nothing"),
        (("run", "--template", " , "), 2, "--template names nothing"),
        (("table", "--tasks", ","), 2, "--tasks names nothing"),
        (("table", "--methods", "]"), 2, "a bracket without a partner"),
        (("run", "--student", "./nowhere"), 2, "no model folder"),
        (("run", "--tasks", "demo-inference", "--methods", "majority", "--k", "17"), 2, "--k 16"),
        (
            ("run", "--tasks", "demo-inference", "--methods", "majority", "--device", "tpu"),
            2,
            "tpu",
        ),
        (("run", "--methods", "majority", "--tasks", "sst-2@glue", "--offline"), 4, "--data"),
        (("run", "--methods", "majority", "--tasks", "mr", "--offline"), 2, "--data"),
        (("split", "demo", "--json"), 2, "names 4 tasks"),
        (("ls", "taks"), 2, "nearest: tasks"),
        (("table", "--format", "html"), 2, "allowed"),
        (("runn",), 2, "run"),
        (("run", "--metods", "x"), 2, "--methods"),
        (("validate", "nowhere.toml"), 2, "no such file: nowhere.toml"),
    ],
)
def test_bad_input_is_one_clear_error(bench, arguments, code, said, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "FEWBENCH_DATA"}
    done = bench(*arguments, cwd=tmp_path, env=environment)
    assert done.returncode == code, done.stderr
    assert said in done.stderr + done.stdout and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "nothing may be left behind"


def test_split_prints_examples_and_fingerprint(bench, task):
    done = bench("split", "demo-choice", "--k", 4, "--seed", 21, "--json")
    split = json.loads(done.stdout)
    assert len(split["train"]) == len(split["dev"]) == 12
    assert split["train"][0].keys() == {"id", "texts", "label", "options"}
    assert len(split["fingerprint"]) == 16 and split["leaks"] == {
        "exact": 0,
        "normalised": 0,
        "within_test": 0,
    }


def test_validate_shows_what_the_model_will_see(bench, task, tmp_path):
    good = bench("validate", task, "--k", 2)
    assert good.returncode == 0 and "It was [terrible | great]." in good.stdout
    bad = tmp_path / "bad.toml"
    bad.write_text(
        TASK.replace("{mask}", "mask")
        .replace("[mood]", "[gloom]")
        .replace("mood.source", "gloom.source")
    )
    both = bench("validate", task, bad, "--k", 2)
    assert both.returncode == 2 and "no masks" in both.stdout and "[gloom] template" in both.stdout


def test_fsck_and_table_tell_damage(run, bench, tmp_path):
    run("majority")
    results = tmp_path / "results"
    assert bench("fsck", "--results", results).returncode == 0
    record = next(results.rglob("*.json"))
    record.write_text(record.read_text()[:-40])
    assert bench("fsck", "--results", results).returncode == 3
    table = bench("table", "--results", results)
    assert table.returncode == 3 and record.name in table.stderr and "majority" in table.stdout
    assert bench("fsck", "--repair", "--results", results).returncode == 3
    assert bench("fsck", "--results", results).returncode == 0
    assert run("majority").returncode == 0


def test_doctor_names_what_is_missing(bench):
    found = {row["what"]: row for row in json.loads(bench("doctor", "--json").stdout)}
    assert found["torch"]["mark"] == "ok" and found["demo-sentiment@demo"]["mark"] == "ok"
    assert "--data" in found["data folder"]["fix"]


def test_no_colour_and_plain_lines_when_not_a_terminal(run):
    done = run("majority")
    assert "\x1b" not in done.stdout + done.stderr


def scores(results):
    return {
        record.run.key: (record.scores, record.selection, record.predictions)
        for record in Store(results).records()
        if record.status == "ok"
    }


def command(task, model, results, methods="prompt-ft,zero-shot"):
    given = [
        "--tasks",
        task,
        "--k",
        4,
        "--seeds",
        "13,21,42",
        "--student",
        model,
        "--results",
        results,
    ]
    started = [sys.executable, "-m", "fewbench", "run", "--methods", methods]
    return [*started, *map(str, given), "--offline", "--workers", "2"]


def records_in(folder):
    return len(list(folder.glob("runs/*/*/*/*.json")))


@pytest.mark.slow
def test_killed_at_work_and_resumed_the_scores_are_identical(bench, task, tiny_model, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert bench(*command(task, tiny_model, whole)[3:]).returncode == 0
    draw = random.Random(7)
    for _ in range(2):
        stored = records_in(broken)
        process = subprocess.Popen(
            command(task, tiny_model, broken), stdout=-3, stderr=-3, start_new_session=True
        )
        while records_in(broken) == stored:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        store = Store(broken)
        list(store.records())
        assert not store.damaged
    assert bench(*command(task, tiny_model, broken)[3:]).returncode == 0
    assert len(scores(whole)) == 6
    assert scores(broken) == scores(whole)


def test_interrupted_says_how_to_resume(task, tiny_model, tmp_path):
    line = command(task, tiny_model, tmp_path / "results", "zero-shot,ft,prompt-ft:lr=1e-3")
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for said in process.stderr:
        if "[1/" in said:
            break
    process.send_signal(signal.SIGINT)
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 130
    assert "To resume:\n  bench run --methods zero-shot,ft,prompt-ft:lr=1e-3" in errors
    store = Store(tmp_path / "results")
    assert list(store.records()) and not store.damaged


@pytest.mark.slow
def test_two_runs_at_once_on_one_store(task, tiny_model, tmp_path):
    both = [
        subprocess.Popen(command(task, tiny_model, tmp_path / "results"), stdout=-3, stderr=-3)
        for _ in range(2)
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert len(scores(tmp_path / "results")) == 6
    assert not Store(tmp_path / "results").fsck()


@pytest.mark.parametrize("text", ["", "soon", "0", "-3", "5d", "1h30m", "nan", "inf"])
def test_timeouts_that_are_none(bench, tmp_path, text):
    done = bench(
        "run",
        "--methods",
        "majority",
        f"--timeout={text}",
        "--results",
        tmp_path / "r",
        "--offline",
    )
    assert done.returncode == 2 and "--timeout is" in done.stderr and "30m" in done.stderr
