"""Workers on a real Slurm and a real Ray cluster, cancelled, preempted, killed: nothing is lost.

Records are those of a run on this machine alone. `scripts/try_clusters.sh` installs what is needed
and runs these.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec

import pytest
import slurm_cluster
from conftest import PROJECT
from test_long_claims import contents

from fewbench.store.claims import Claims
from fewbench.store.store import Store

pytestmark = pytest.mark.slow

GRID = """
tasks = ["demo-sentiment", "demo-inference"]

[[runs]]
methods = ["waits.py", "majority", "zero-shot"]
seeds = [13, 21, 42]

[[runs]]
methods = "vanilla-kd"
tasks = "demo-sentiment"
seeds = 13
"""
WAITS = """
import time
import numpy as np
from fewbench.types import Predictions

NEEDS = ()

class Guess:
    def __init__(self, task, seed):
        self.shares = np.random.default_rng(seed).dirichlet(np.ones(len(task.labels)), 10_000)

    def predict(self, examples):
        shares = self.shares[: len(examples)].astype(np.float32)
        return Predictions(tuple(e.id for e in examples), probabilities=shares)

def fit(task, split, kit):
    time.sleep(5)
    return Guess(task, split.seed)
"""
"""A method that takes its time and no processor: trials need runs that are under way."""

RUNS = 20
"""Nineteen, and the teacher of one."""

PATIENCE = 900


def wait_until(true, what):
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, f"no {what} in {PATIENCE} s"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a grid and its method, in which commands are given."""
    folder = tmp_path_factory.mktemp("grid")
    (folder / "grid.toml").write_text(GRID, "utf-8")
    (folder / "waits.py").write_text(WAITS, "utf-8")
    return folder


@pytest.fixture(scope="module")
def started(folder):
    """Start a command on a results folder, with its output in a file."""

    def start(results, environment, log, *more):
        words = [sys.executable, "-m", "fewbench", "run", "--config", "grid.toml"]
        words += ["--results", str(results), *more]
        with log.open("ab") as stream:
            return subprocess.Popen(
                words, env=environment, cwd=folder, stdout=stream, stderr=stream
            )

    return start


@pytest.fixture(scope="module")
def alone(tmp_path_factory, started):
    """The files of the plan's records as this machine alone makes them."""
    results, log = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("log") / "alone"
    driver = started(results, one_thread(), log, "--workers", "2", "--device", "cpu")
    assert driver.wait(PATIENCE) == 0, log.read_text()
    return contents(results)


def one_thread():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def records(results):
    return len(list((results / "runs").rglob("*.json")))


def claims(results):
    return Claims(results / "claims").all()


def done_here(logs):
    """Count how often each run was done, by the lines of all workers."""
    done = Counter()
    for log in logs:
        told = re.findall(r"^\[\d+/\d+\] (.*)$", log.read_text(), re.MULTILINE)
        here = [line for line in told if not line.endswith("(done elsewhere)")]
        done.update(line.partition("  ")[0] for line in here)
    return done


def check_whole(results, alone):
    assert contents(results) == alone
    assert records(results) == RUNS
    assert claims(results) == []
    assert Store(results).fsck() == []


needs_slurm = pytest.mark.skipif(
    bool(slurm_cluster.missing() or not find_spec("submitit")),
    reason="needs slurmctld, slurmd (Debian: slurm-wlm) and submitit: scripts/try_clusters.sh",
)


def slurm(environment, *words):
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def queue(environment):
    """Return the number in its array and the state of each job."""
    asked = ("squeue", "--noheader", "--array", "--format", "%K %T")
    return slurm(environment, *asked).splitlines()


@needs_slurm
def test_a_slurm_array_cancelled_half_way_and_resumed(tmp_path, alone, started):
    results, log = tmp_path / "results", tmp_path / "driver"
    with slurm_cluster.cluster(tmp_path / "slurm") as environment:
        environment = {**environment, "OMP_NUM_THREADS": "1"}

        def is_running(job):
            return bool(claims(results)) and f"{job} RUNNING" in queue(environment)

        asked = ("--executor", "slurm", "--jobs", "2", "--per-job", "time=30m")
        first = started(results, environment, log, *asked, "--detach")
        assert first.wait(PATIENCE) == 0, log.read_text()
        assert "to watch them: bench status" in log.read_text()
        number = re.search(r"Slurm job (\d+), 2 workers for 19 runs", log.read_text())[1]
        wait_until(lambda: records(results) >= RUNS // 2 and claims(results), "half of the records")
        at_work = [claim.title for claim in claims(results)]
        slurm(environment, "scancel", number)
        wait_until(lambda: not queue(environment), "end of the array")
        half = records(results)
        print(f"\narray {number} cancelled at {half} of {RUNS} records, at work: {at_work}")
        assert half < RUNS
        assert claims(results) == [], "a worker that was cancelled leaves no claim"

        log.unlink()
        driver = started(results, environment, log, *asked)
        try:
            wait_until(lambda: is_running(0), "worker at work")
            again = re.search(r"Slurm job (\d+),", log.read_text())[1]
            slurm(
                environment, "scancel", "--signal=USR2", f"{again}_0"
            )  # as Slurm does before the time limit
            wait_until(lambda: "0 PENDING" in queue(environment), "worker that is queued again")
            slurm(environment, "scontrol", "update", f"job={again}_0", "starttime=now")
            wait_until(lambda: is_running(0) or driver.poll() is not None, "second start")
            urgent = ("sbatch", "--partition=urgent", "--output=/dev/null", "--wrap=sleep 3")
            slurm(environment, *urgent)
            slurm(environment, *urgent)
            assert driver.wait(PATIENCE) == 0, log.read_text()
        finally:
            driver.kill()
        print(log.read_text())
    logs = sorted((results / "jobs").glob("*.out"))
    told = [re.findall(r"^interrupted|Starting with", file.read_text(), re.M) for file in logs]
    print("starts of each worker:", [starts.count("Starting with") for starts in told])
    assert max(done_here(logs).values()) == 1
    assert not list((results / "jobs").glob(f"{again}_*.pkl"))
    check_whole(results, alone)


def script_of_the_docs(results):
    """Return the script for `sbatch` in the docs, for this plan and two jobs."""
    text = (PROJECT / "docs" / "many-machines.md").read_text("utf-8")
    script = re.search(r"#!/bin/bash\n.*?(?=```)", text, re.DOTALL)[0]
    ours = f"{sys.executable} -m fewbench run --config grid.toml --results {results} --workers 1 &"
    script = re.sub(r"^bench run .*$", ours, script, flags=re.MULTILINE)
    for of_the_docs, here in (("1-20", "1-2"), ("task=4", "task=1"), ("08:00:00", "00:30:00")):
        assert of_the_docs in script
        script = script.replace(of_the_docs, here)
    return script


@needs_slurm
def test_the_script_of_the_docs(tmp_path, alone, folder):
    results, script = tmp_path / "results", tmp_path / "jobs.sh"
    script.write_text(script_of_the_docs(results), "utf-8")
    with slurm_cluster.cluster(tmp_path / "slurm") as environment:
        environment = {**environment, "OMP_NUM_THREADS": "1"}
        place = ("--chdir", str(folder), "--output", str(tmp_path / "job-%a.out"))
        number = slurm(environment, "sbatch", "--parsable", *place, str(script)).strip()
        wait_until(lambda: records(results) and len(claims(results)) == 2, "two at work")
        slurm(environment, "scancel", "--batch", "--signal=USR1", f"{number}_1")
        wait_until(lambda: "1 PENDING" in queue(environment), "job that is queued again")
        print(f"\nqueued again at {records(results)} of {RUNS} records")
        slurm(environment, "scontrol", "update", f"job={number}_1", "starttime=now")
        wait_until(lambda: not queue(environment), "end of the array")
    logs = sorted(tmp_path.glob("job-*.out"))
    assert max(done_here(logs).values()) == 1, [log.read_text() for log in logs]
    check_whole(results, alone)


@pytest.mark.skipif(not find_spec("ray"), reason="needs ray: scripts/try_clusters.sh")
def test_a_ray_node_killed_while_it_works(tmp_path, alone, started):
    results, log = tmp_path / "results", tmp_path / "driver"
    environment = {**one_thread(), "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    cluster = subprocess.Popen(
        [sys.executable, str(PROJECT / "tests" / "ray_cluster.py")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        address = cluster.stdout.readline().strip()
        asked = ("--executor", "ray", "--address", address, "--per-job", "cpus=1,gpus=0.5")
        driver = started(results, environment, log, *asked)
        wait_until(
            lambda: records(results) and len({claim.by for claim in claims(results)}) == 2,
            "two workers at work",
        )
        at_work = claims(results)
        cluster.stdin.write("kill\n")
        cluster.stdin.flush()
        assert cluster.stdout.readline() == "killed\n"
        wait_until(lambda: any(claim.holder.is_gone for claim in at_work), "death of a worker")
        lost = [claim.title for claim in at_work if claim.holder.is_gone]
        print(f"\nkilled at {records(results)} of {RUNS} records, at work there: {lost}")
        assert driver.wait(PATIENCE) == 0, log.read_text()
    finally:
        cluster.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            cluster.wait(60)
        cluster.kill()
        cluster.stdout.close()
    print(log.read_text())
    assert "2 workers for 19 runs" in log.read_text()
    check_whole(results, alone)
