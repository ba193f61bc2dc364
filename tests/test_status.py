"""`bench status`, `--shard` and `--track`, and two commands on one store with a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from conftest import PROJECT

from fewbench.errors import BenchError
from fewbench.runner import trackers
from fewbench.runner.agenda import Outcome
from fewbench.runner.plan import Request, make_plan
from fewbench.runner.shards import Shard, parse_shard
from fewbench.runner.verdict import failure
from fewbench.store.claims import Claim, Claims
from fewbench.store.holder import this_process
from fewbench.store.progress import Progress
from fewbench.store.store import Store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
    from fewbench.cli.progress import Lines, RunTally, Screen

METHOD = """
import os, time
import numpy as np
from fewbench.types import Predictions

NEEDS = ()

class Same:
    def predict(self, examples):
        shares = np.full((len(examples), 2), 1 / 2, np.float32)
        return Predictions(tuple(e.id for e in examples), probabilities=shares)

def fit(task, split, kit):
    with open({log!r}, "a") as stream:
        stream.write(f"{{split.seed}}\\n")
    time.sleep(0.7)
    return Same()
"""
PLAN = ("--methods", "majority", "--tasks", "demo", "--seeds", "13,21")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("plan"))
    methods = ("majority", "ft", "vanilla-kd", "zero-shot:calibrated", "zero-shot:pmi")
    return make_plan(Request(methods, ("demo",), seeds=(13, 21), protocol="demo"), store)


def claim(root, key="c" * 32, title="demo-choice@demo ft k16 s13", **changes):
    """Write the claim of a living process of another machine."""
    content = {"title": title, "host": "far", "machine": "far", "pid": 7, "born": "1"}
    since = datetime.now(timezone.utc).isoformat()
    progress = {"trial": 1, "trials": 1, "step": 30, "steps": 64, "loss": 0.4321, "dev": 0.5}
    content |= {"since": since, "every": 5.0, "beat": 0, "progress": progress} | changes
    (root / "claims").mkdir(parents=True, exist_ok=True)
    file = root / "claims" / f"{key}.1.json"
    file.write_text(json.dumps(content), "utf-8")
    return file


def test_an_empty_folder(bench, tmp_path):
    said = bench("status", "--results", tmp_path / "none")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == "0 runs stored: 0 done, 0 failed, 0 under way\n"
    assert not (tmp_path / "none").exists()
    told = json.loads(bench("status", "--results", tmp_path / "none", "--json").stdout)
    assert (told["runs"], told["running"], told["ended"], told["failing"]) == (0, [], [], [])


def test_what_is_under_way_failing_and_left(bench, tmp_path):
    results = tmp_path / "results"
    plan = make_plan(
        Request(("majority",), ("demo",), seeds=(13, 21), protocol="demo"), Store(results)
    )
    first, second, third = plan.jobs[:3]
    Store(results).save(failure(first, "ValueError: oh\nmore", "cpu", 1), None)
    claim(results, second.key, second.title)
    old = claim(results, third.key, third.title, machine="gone")
    os.utime(old, (1e9, 1e9))
    (results / "claims" / f"{'e' * 32}.1.json").write_text("rubbish", "utf-8")
    said = bench("status", "--results", results, *PLAN)
    assert said.returncode == 0
    lines = said.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[:2] == [
        "8 runs: 0 done, 1 failed, 1 under way, 6 left",
        "no earlier runs to estimate the time from",
    ]
    text = said.stdout
    assert re.search(rf"{re.escape(second.title)} +30/64 +0\.432 +0\.500 +[\dms ]+7 on far", text)
    assert re.search(r"ValueError: oh", text)
    assert third.title in text[text.index("process that ended") :]
    assert "eeeeeeee (unreadable)" in text
    told = json.loads(bench("status", "--results", results, *PLAN, "--json").stdout)
    assert (told["left"], told["estimated_seconds"]) == (6, None)
    running = {run["key"]: run for run in told["running"]}
    assert running[second.key]["progress"]["loss"] == 0.4321
    assert [run["key"] for run in told["ended"]] == [third.key]
    whole = json.loads(bench("status", "--results", results, "--json").stdout)
    assert (whole["runs"], whole["failed"], "left" in whole) == (1, 1, False)


def test_a_damaged_record_is_told_and_left_where_it_is(bench, tmp_path):
    bench("run", *PLAN, "--results", tmp_path)
    record = next((tmp_path / "runs").rglob("*.json"))
    record.write_text("{}", "utf-8")
    said = bench("status", "--results", tmp_path)
    assert said.returncode == 3
    assert "damaged:" in said.stderr
    assert record.exists()


@pytest.mark.parametrize("text", ["0/3", "4/3", "a", "1/0", "1", "", "-1/3", "1/3/3", "1/٣"])
def test_what_is_no_shard(text, bench, tmp_path):
    with pytest.raises(BenchError, match="--shard is"):
        parse_shard(text)
    if text in ("0/3", "a"):
        said = bench("run", "--shard", text, "--results", tmp_path)
        assert said.returncode == 2
        assert "I from 1 to N" in said.stderr
        assert not list(tmp_path.iterdir())


def test_shards_are_disjoint_and_whole_and_hold_the_teachers(plan):
    shards = [Shard(number, 3).of(plan) for number in (1, 2, 3)]
    keys = [job.key for shard in shards for job in shard.jobs]
    assert sorted(keys) == sorted(job.key for job in plan.jobs)
    assert min(len(shard.jobs) for shard in shards) > 0
    taught = [{job.teacher.key for job in shard.jobs if job.teacher} for shard in shards]
    assert not taught[0] & taught[1] | taught[1] & taught[2] | taught[0] & taught[2]
    assert [str(shard) for shard in (parse_shard(" 2/3 "), parse_shard("1/1"))] == ["2/3", "1/1"]
    assert parse_shard(None) is None
    half = replace(plan, jobs=plan.jobs[::2])
    kept = {job.key for job in Shard(2, 3).of(half).jobs}
    assert kept == {job.key for job in shards[1].jobs} & {job.key for job in half.jobs}


def test_shards_without_a_common_folder_make_the_whole(bench, tmp_path):
    names = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        said = bench("run", *PLAN, "--shard", f"{number}/2", "--results", folder)
        assert said.returncode == 0
        assert f"shard {number}/2: " in said.stderr
        names += [file.name for file in (folder / "runs").rglob("*.json")]
    assert len(names) == 8
    said = bench(
        "run",
        *PLAN,
        "--seeds",
        "13",
        "--tasks",
        "demo-choice",
        "--shard",
        "1/999",
        "--results",
        tmp_path / "1",
    )
    assert said.returncode == 0
    assert "the shard has no run" in said.stderr


def test_lines_name_the_preset_or_the_settings(plan):
    titles = [job.title for job in plan.jobs]
    assert len(set(titles)) == len(titles)
    assert any(" zero-shot:calibrated k16 s13" in title for title in titles)
    assert any(" zero-shot:pmi k16 s21" in title for title in titles)
    taught = next(job for job in plan.jobs if job.teacher)
    assert " ft on fewbench-mini k16 " in taught.teacher.title


def test_two_commands_on_one_store_and_one_is_killed(bench, tmp_path):
    """Nothing is done twice but what the killed one was at, and nothing is lost."""
    method, log, results = tmp_path / "noting.py", tmp_path / "log", tmp_path / "results"
    method.write_text(METHOD.format(log=str(log)), "utf-8")
    asked = ["--methods", method, "--tasks", "demo-sentiment", "--seeds", "1,2,3,4,5,6,7,8"]
    command = ["run", *map(str, asked), "--workers", "1", "--results", str(results)]
    first = subprocess.Popen(
        [sys.executable, "-m", "fewbench", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=PROJECT,
    )
    try:
        wait_until(log.exists)
        waiter = subprocess.Popen(["sleep", "1.6"])
        while waiter.poll() is None:
            time.sleep(0.05)
        killed = {claim.key for claim in Claims(results / "claims").all()}
        first.send_signal(signal.SIGKILL)
        first.wait()
        second = bench(*command)
    finally:
        first.kill()
    assert second.returncode == 0, second.stderr
    fits = log.read_text().split()
    assert sorted(set(fits)) == [*"12345678"]
    assert len(fits) <= 8 + max(1, len(killed))
    assert len(list((results / "runs").rglob("*.json"))) == 8
    assert list((results / "claims").iterdir()) == []
    assert {damage.severity for damage in Store(results).fsck()} <= {"leftover"}  # of a cut write


def wait_until(true, seconds=120):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(bench, tmp_path):
    (tmp_path / "claims").write_text("in the way", "utf-8")
    said = bench("run", *PLAN, "--results", tmp_path)
    assert said.returncode == 1
    assert "nothing was begun" in said.stderr
    assert "fix: " in said.stderr
    assert not (tmp_path / "runs").exists()


class FakeRun:
    def __init__(self, **given):
        self.given, self.logged, self.ended = given, [], False

    def log(self, numbers, step):
        self.logged.append((numbers, step))

    def finish(self):
        self.ended = True


@pytest.fixture
def library(monkeypatch):
    """Stand in for wandb and trackio."""
    runs = []

    def init(**given):
        print("a library's greeting")
        runs.append(FakeRun(**given))
        return runs[-1]

    for name in ("wandb", "trackio"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(init=init, __spec__=object()))
    return runs


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_tracker_hears_losses_and_scores(name, library, plan, capsys):
    job = next(job for job in plan.jobs if job.run.method == "ft")
    (tracker,) = trackers.open_trackers([f"{name}:mine"])
    tracker.started(job)
    tracker.progressed(job, Progress(2, 3, 10, 100, 0.5, None))
    record = failure(job, "no", "cpu", 1)
    record = replace(record, status="ok", scores={"test": {"accuracy": 0.75}})
    tracker.done(job, Outcome(record))
    (run,) = library
    assert run.given["project"] == "mine"
    assert run.given["config"]["key"] == job.key
    assert run.logged == [
        ({"loss": 0.5, "trial": 2}, 110),
        ({"test/accuracy": 0.75}, job.updates),
    ]
    assert run.ended
    tracker.close()
    assert capsys.readouterr() == ("", "a library's greeting\n")


def test_a_tracker_that_fails_is_left_alone(library, plan, monkeypatch):
    def fail(*given, step):
        raise OSError("no network")

    monkeypatch.setattr(FakeRun, "log", fail)
    (tracker,) = trackers.open_trackers(["wandb:mine"])
    tracker.started(plan.jobs[0])
    with pytest.warns(
        UserWarning, match="wandb failed, and is not used any more: OSError: no network"
    ):
        tracker.progressed(plan.jobs[0], Progress(1, 1, 1, 2, 0.5))
    tracker.progressed(plan.jobs[0], Progress(1, 1, 2, 2, 0.5))
    tracker.close()


def test_tensorboard_gets_a_folder_for_each_run(plan, monkeypatch, tmp_path):
    written = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, *given):
            written.append((self.folder, *given))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "tensorboard", SimpleNamespace(__spec__=object()))
    module = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    job = plan.jobs[0]
    (tracker,) = trackers.open_trackers([f"tensorboard:{tmp_path}"])
    with closing(tracker):
        tracker.started(job)
        tracker.progressed(job, Progress(1, 1, 5, 9, None, 0.5))
    folder = tmp_path / job.task.full_name / "majority" / "none" / f"k16-s13-{job.key[:8]}"
    assert written == [(str(folder), "dev", 0.5, 5), (str(folder), "trial", 1, 5), "closed"]


@pytest.mark.parametrize("text", ["tensorboard", "tensorboard:", "mlflow:x", ":", ""])
def test_what_is_no_tracker(text, bench, tmp_path):
    with pytest.raises(BenchError, match="--track is"):
        trackers.check_trackers([text])


def test_a_tracker_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(BenchError, match="needs the package wandb") as caught:
        trackers.check_trackers(["wandb:mine"])
    assert "pip install 'fewbench[wandb]'" in str(caught.value)


def bars():
    """A terminal of 80 columns, and what it shows."""
    import io

    from rich.console import Console
    from rich.progress import MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    made = Bars(
        MofNCompleteColumn(), TextColumn("{task.description}", markup=False), console=console
    )
    return made, stream


def test_a_terminal_shows_a_bar_for_each_run_under_way(plan):
    job, other = plan.jobs[0], plan.jobs[1]
    made, stream = bars()
    screen = Screen(made, 2)
    screen.started(job)
    screen.progressed(job, Progress(2, 3, 10, 100, 0.5))
    screen.progressed(other, Progress(1, 1, 1, 2, 0.5))  # has ended meanwhile
    texts = [(task.description, task.completed, task.total) for task in made.tasks]
    assert texts == [("1 under way", 0, 2), (f"{job.title} 2/3 0.500", 10, 100)]
    screen.done(job, Outcome(failure(job, "oh [red]no", "cpu", 1)))
    assert [(task.description, task.completed) for task in made.tasks] == [("0 under way", 1)]
    assert f"FAILED {job.title}: oh [red]no" in stream.getvalue().replace("\n", " ")
    theirs = Claim("d" * 32, PROJECT, "their run", this_process())
    screen.waiting([theirs])
    assert made.tasks[0].description.startswith("waiting for 1 under way elsewhere: their run (")


def test_lines_and_a_tally_where_there_is_no_terminal(plan, capsys):
    tally = RunTally(3)
    lines = Lines(tally)
    claims = [Claim(str(number) * 32, PROJECT, f"run {number}") for number in range(5)]
    for watcher in (tally, lines):
        watcher.waiting(claims)
        watcher.waiting(claims[:2])
        record = failure(plan.jobs[0], "no", "cpu", 1)
        watcher.done(plan.jobs[0], Outcome(record, elsewhere=True))
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "waiting for 5 under way elsewhere: run 0 (unknown), run 1 (unknown), run 2 (unknown), "
        "2 more",
        f"[1/3] FAILED {plan.jobs[0].title}: no (done elsewhere) "
        f"(bench show {plan.jobs[0].key[:8]})",
    ]
    assert tally.summary.startswith("0 done, 1 failed (1 elsewhere), 2 left (--fail-fast), in ")
