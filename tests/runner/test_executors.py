"""`--executor slurm` and `ray`: what is refused, what workers do, and how their driver follows them.

The clusters themselves are stood in for here; `test_real_clusters.py` starts real ones.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from functools import partial
from types import SimpleNamespace

import pytest

from fewbench.errors import BenchError
from fewbench.runner.executors import asked, slurm
from fewbench.runner.executors.asked import Allotment, AskedCluster, asked_cluster
from fewbench.runner.executors.crew import Crew
from fewbench.runner.executors.ray import spread
from fewbench.runner.follow import Followed, Follower, follow
from fewbench.runner.plan import Request, make_plan
from fewbench.runner.watcher import Watcher
from fewbench.store.progress import Progress

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
    from fewbench.cli.remote import WorkOrder, carry_out_order, order_of
    from fewbench.cli.run import HowToRun

REQUEST = Request(("majority",), ("demo-sentiment",), seeds=(13, 21), protocol="demo")


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(asked, "find_spec", lambda name: object())


def test_the_local_executor_asks_for_nothing():
    assert asked_cluster("local") is None


@pytest.mark.parametrize(
    "executor, options, said",
    [
        ("slrm", {}, "unknown executor 'slrm'\n  nearest: slurm"),
        ("local", {"jobs": 2}, "--jobs does not go with --executor local"),
        ("ray", {"detach": True}, "--detach does not go with --executor ray"),
        ("slurm", {"address": "auto"}, "fix: --executor ray"),
        ("slurm", {"per_job": "time=8h"}, "needs the number of jobs"),
        ("slurm", {"jobs": 2}, "needs a time limit"),
        ("slurm", {"jobs": 2, "per_job": "time=2m"}, "time is '2m'"),
        ("slurm", {"jobs": 2, "per_job": "time=8"}, "time is '8'"),
        ("slurm", {"jobs": 2, "per_job": "time=8h,gpus=0.5"}, "a whole number on Slurm"),
        ("slurm", {"jobs": 2, "per_job": "time=8h,partition=a b"}, "partition is 'a b'"),
        ("slurm", {"jobs": 2, "per_job": "time=8h,time=9h"}, "has 'time=9h'"),
        ("ray", {"per_job": "time=8h"}, "has 'time=8h' for --executor ray"),
        ("ray", {"per_job": "gpus=1.5"}, "gpus is '1.5'"),
        ("ray", {"per_job": "cpus=0"}, "cpus is '0'"),
        ("ray", {"per_job": "cpus=nan"}, "cpus is 'nan'"),
        ("ray", {"per_job": "memory=lots"}, "memory is 'lots'"),
        ("ray", {"per_job": "cpus"}, "has 'cpus'"),
        ("ray", {"device": "cuda"}, "the workers get no GPU"),
        ("ray", {"device": "cuda:1", "per_job": "gpus=1"}, "for workers on a cluster"),
    ],
)
def test_what_is_refused(installed, executor, options, said):
    with pytest.raises(BenchError) as raised:
        asked_cluster(executor, **options)
    assert said in str(raised.value)
    assert "fix:" in str(raised.value)


def test_what_each_worker_gets(installed):
    each = "time=8h, cpus=4,gpus=1,memory=16G,partition=gpu,account=lab,qos=low,constraint=a100&ib"
    assert asked_cluster("slurm", jobs=3, per_job=each, detach=True) == AskedCluster(
        "slurm", 3, Allotment(4, 1, 16384, 480, "gpu", "lab", "low", "a100&ib"), None, True
    )
    ray = asked_cluster("ray", per_job="cpus=0.5,gpus=0.25,memory=500M", address="auto")
    assert ray == AskedCluster("ray", None, Allotment(0.5, 0.25, 500), "auto")


@pytest.mark.parametrize("executor, package", [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, executor, package):
    monkeypatch.setattr(asked, "find_spec", lambda name: None)
    with pytest.raises(BenchError, match=f"needs the package {package}") as raised:
        asked_cluster(executor)
    assert f"pip install 'fewbench[{executor}]'" in str(raised.value)


def test_the_command_refuses_before_anything_runs(bench, tmp_path):
    said = bench("run", "--executor", "local", "--jobs", 4, "--results", tmp_path)
    assert said.returncode == 2
    assert "--jobs does not go with --executor local" in said.stderr
    assert not list(tmp_path.iterdir())


def planned(store, request=REQUEST, **options):
    plan = make_plan(request, store)
    return plan, plan.todo(**options)


def ordered(store, plan, todo, **changes) -> WorkOrder:
    asked = AskedCluster("ray", 2)
    return order_of([REQUEST], plan, todo, store, HowToRun(), asked)._replace(**changes)


def changes(store):
    return {file: file.stat().st_mtime_ns for file in store.runs.rglob("*.json")}


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A worker changes folder and environment of its process, which is this one."""
    monkeypatch.chdir(tmp_path)
    for name, value in os.environ.items():
        monkeypatch.setenv(name, value)


def test_workers_do_an_order_once_even_with_force(here, store):
    plan, todo = planned(store)
    first = ordered(store, plan, todo)
    assert first.how == HowToRun(workers=1)
    carry_out_order(first)
    before = changes(store)
    assert len(before) == 2
    carry_out_order(first)  # as one that was queued again
    assert changes(store) == before
    plan, todo = planned(store, force=True)
    forced = ordered(store, plan, todo)
    carry_out_order(forced)
    again = changes(store)
    assert {file for file in again if again[file] != before.get(file)} == set(before)
    carry_out_order(forced)  # as a worker that starts when another has done it
    assert changes(store) == again
    assert store.fsck() == []


def test_a_machine_that_makes_another_plan_does_nothing(here, store):
    plan, todo = planned(store)
    order = ordered(store, plan, todo, keys=frozenset(("0" * 32, todo[0].key)))
    with pytest.raises(BenchError, match="not in the plan that is made here: 1 of 2 runs"):
        carry_out_order(order)
    assert not store.root.exists()


def test_an_order_holds_no_token(here, store, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    variables = ordered(store, *planned(store)).variables
    assert "HF_TOKEN" not in variables
    assert {"HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM"} <= variables.keys()


@pytest.mark.parametrize(
    "executor, each, given, workers",
    [
        ("slurm", Allotment(cpus=4), HowToRun(), 4),
        ("slurm", Allotment(cpus=4), HowToRun(threads=2), 2),
        ("slurm", Allotment(cpus=4, gpus=1), HowToRun(), None),
        ("slurm", Allotment(cpus=4, gpus=2), HowToRun(per_device=3), None),
        ("ray", Allotment(cpus=4), HowToRun(), 1),
        ("ray", Allotment(cpus=4), HowToRun(workers=3), 3),
    ],
)
def test_how_many_runs_a_worker_does_at_a_time(store, executor, each, given, workers):
    cluster = AskedCluster(executor, 2, each)
    order = order_of([REQUEST], *planned(store), store, given, cluster)
    assert order.how.workers == workers


class Scripted(Crew):
    """Workers whose states are a script; each look at them may do something."""

    def __init__(self, *script):
        self.script = list(script)
        self.ends = []

    def states(self):
        act, state = self.script.pop(0)
        act()
        return state

    def cancel(self):
        self.ends.append("cancelled")

    def dismiss(self):
        self.ends.append("dismissed")


class Heard(Watcher):
    def __init__(self):
        self.heard = []

    def started(self, work):
        self.heard.append(("started", work.key))

    def progressed(self, work, progress):
        self.heard.append((progress.step, work.key))

    def done(self, work, outcome):
        self.heard.append(("failed" if outcome.failed else "done", work.key))


def nothing():
    pass


def test_the_driver_follows_claims_and_records(here, store):
    plan, todo = planned(store)
    heard, claims = Heard(), store.claims()
    key = todo[0].key

    def claim():
        claims.take(key, "one")
        claims.note(key, Progress(1, 1, 7, 9, 0.5, None))
        held = claims._held[key]
        from fewbench.store.claims import _write

        _write(held)

    def work():
        claims.close()
        carry_out_order(ordered(store, plan, todo))

    busy = {"running": 1}
    crew = Scripted((claim, busy), (nothing, busy), (work, busy))
    states = []
    followed = follow(
        Follower(plan.stages(todo), store, plan.stamps, heard),
        crew,
        on_states=states.append,
        poll=0,
    )
    assert followed == Followed(0, 0)
    assert crew.ends == ["dismissed"]
    assert states == [busy]
    assert heard.heard[:2] == [("started", key), (7, key)]
    assert sorted(heard.heard[2:]) == sorted(("done", job.key) for job in todo)


def test_what_workers_leave_is_counted(here, store):
    plan, todo = planned(store)
    crew = Scripted((nothing, {"pending": 2}), (nothing, {}))
    follower = Follower(plan.stages(todo), store, plan.stamps, Heard())
    assert follow(follower, crew, poll=0) == Followed(0, 2)
    assert crew.ends == ["dismissed"]


def test_a_failure_cancels_the_others_if_asked(here, store):
    from fewbench.runner.verdict import failure

    plan, todo = planned(store)

    def fail():
        store.save(failure(todo[0], "ValueError: oh", "cpu", 1), None)

    crew = Scripted((fail, {"running": 2}))
    follower = Follower(plan.stages(todo), store, plan.stamps, Heard())
    assert follow(follower, crew, fail_fast=True, poll=0) == Followed(1, 1)
    assert crew.ends == ["cancelled"]


def test_an_interrupt_cancels_the_workers(here, store):
    plan, todo = planned(store)

    def interrupt():
        raise KeyboardInterrupt

    crew = Scripted((nothing, {"running": 2}), (interrupt, {}))
    follower = Follower(plan.stages(todo), store, plan.stamps, Heard())
    with pytest.raises(KeyboardInterrupt):
        follow(follower, crew, poll=0)
    assert crew.ends == ["cancelled"]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Programs of Slurm that note how they were called and print what `says` gives them."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def say(name, text="", code=0):
        file = folder / name
        lines = ["#!/bin/sh", f'echo "{name} $@" >> {tmp_path}/calls']
        lines += [f"printf '%s' '{text}' >&{2 if code else 1}", f"exit {code}"]
        file.write_text("\n".join(lines))
        file.chmod(0o755)

    for name in slurm.PROGRAMS:
        say(name)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return SimpleNamespace(say=say, calls=lambda: (tmp_path / "calls").read_text().splitlines())


def test_the_script_that_slurm_gets(programs, tmp_path):
    pytest.importorskip("submitit")
    programs.say("sbatch", "Submitted batch job 7")
    each = Allotment(4, 1, 16384, 480, "gpu", "lab")
    crew = slurm.submit(nothing, AskedCluster("slurm", 3, each), tmp_path / "results" / "jobs")
    assert crew.title == "Slurm job 7, 3 workers"
    script = (tmp_path / "results/jobs/7_submission.sh").read_text().splitlines()
    assert {
        "#SBATCH --array=0-2%3",
        "#SBATCH --time=480",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --mem=16384M",
        "#SBATCH --partition=gpu",
        "#SBATCH --account=lab",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR2@90",
    } <= set(script)
    assert "--cpus-per-task=4" in script[-1]
    assert not [line for line in script if "wckey" in line]
    assert len([*crew.logs.glob("*.pkl")]) == 3
    (crew.logs / "7_0_0_log.out").write_text("fewbench.errors.BenchError: no such task\n  fix: x")
    assert crew.last_words().startswith("fewbench.errors.BenchError: no such task (")
    crew.cancel()
    assert programs.calls()[-1] == "scancel 7"
    assert not [*crew.logs.glob("*.pkl")]


def test_what_squeue_says_of_the_workers(programs, tmp_path):
    crew = slurm.SlurmJobs("7", 3, tmp_path)
    programs.say("squeue", "RUNNING\nRUNNING\nPENDING\n")
    assert crew.states() == {"running": 2, "pending": 1}
    programs.say("squeue", "slurm_load_jobs error: Unable to contact slurm controller", code=1)
    assert crew.states() == {"running": 2, "pending": 1}
    programs.say("squeue", "slurm_load_jobs error: Invalid job id specified", code=1)
    assert crew.states() == {}
    crew.dismiss()
    assert "scancel --state=PENDING 7" in programs.calls()


def test_what_slurm_refuses_is_said_in_its_words(programs, tmp_path):
    pytest.importorskip("submitit")
    programs.say("sbatch", "sbatch: error: invalid partition specified: nope", code=1)
    each = Allotment(minutes=60, partition="nope")
    with pytest.raises(BenchError, match="Slurm refuses the jobs: invalid partition specified"):
        slurm.submit(nothing, AskedCluster("slurm", 2, each), tmp_path / "jobs")


def test_a_machine_without_slurm_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="needs the program sbatch"):
        slurm.submit(nothing, AskedCluster("slurm", 2), tmp_path / "jobs")
    assert not (tmp_path / "jobs").exists()


def stopped(number):
    """Stand in for a worker's work that Slurm signals."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signal.raise_signal(number)
        time.sleep(1)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("restarts, calls", [("3", ["scontrol requeue 12"]), ("100", [])])
def test_a_worker_out_of_time_stops_and_is_queued_again(programs, monkeypatch, restarts, calls):
    programs.say("squeue")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    slurm._slurm("squeue")
    slurm.Requeued(partial(stopped, signal.SIGUSR2))()
    assert programs.calls()[1:] == calls
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


def test_a_worker_that_is_cancelled_is_not(programs):
    with pytest.raises(SystemExit) as ended:
        slurm.Requeued(partial(stopped, signal.SIGTERM))()
    assert ended.value.code == 128 + signal.SIGTERM


def test_submitit_sends_an_order_to_another_process(store, tmp_path):
    submitit = pytest.importorskip("submitit")
    plan, todo = planned(store)
    order = ordered(store, plan, todo, folder=tmp_path)
    executor = submitit.LocalExecutor(folder=tmp_path / "jobs")
    job = executor.submit(slurm.Requeued(partial(carry_out_order, order)))
    try:
        assert job.result() is None, job.stderr()
    finally:
        job.cancel(check=False)
    assert len(changes(store)) == 2
    assert not list((store.root / "claims").iterdir())


class FakeRay:
    """The part of Ray that is used, without processes; workers are done when they are awaited."""

    def __init__(self, nodes, here=True):
        self._nodes, self._here = nodes, here
        self.sent, self.options, self.ended = [], None, []

    def init(self, address, **options):
        if not self._here:
            raise ConnectionError("nobody listens\nat all")
        self.address = address

    def nodes(self):
        return self._nodes

    def remote(self, **options):
        self.options = options
        return lambda function: SimpleNamespace(
            remote=lambda *given: self.sent.append(partial(function, *given)) or len(self.sent)
        )

    def wait(self, tasks, num_returns, timeout, fetch_local):
        assert num_returns == len(tasks)
        return [], [task for task in tasks if task not in self.ended]

    def get(self, task):
        error = RuntimeError("long\ntrace")
        error.cause = BenchError("no such task", fix="x")
        raise error

    def cancel(self, task, force):
        assert not force
        self.ended.append(task)

    def shutdown(self):
        self.ended.append("shutdown")


def node(**resources):
    return {"Alive": resources.pop("alive", True), "Resources": resources}


@pytest.fixture
def ray(monkeypatch):
    def make(*given, **options):
        fake = FakeRay(*given, **options)
        monkeypatch.setitem(sys.modules, "ray", fake)
        return fake

    return make


def test_rays_workers_fill_the_nodes(ray):
    fake = ray([node(CPU=4.0, GPU=1.0), node(CPU=9.0, GPU=1.0), node(CPU=99.0, alive=False)])
    crew = spread(nothing, AskedCluster("ray", each=Allotment(1, 0.25, 500), address="far:6379"))
    assert crew.title == "Ray at far:6379, 1 worker"  # no node says how much memory it has
    fake.sent.clear()
    crew = spread(nothing, AskedCluster("ray", each=Allotment(1, 0.25), address="far:6379"))
    assert (fake.address, crew.title) == ("far:6379", "Ray at far:6379, 8 workers")
    assert (fake.options["num_cpus"], fake.options["num_gpus"]) == (1, 0.25)
    assert fake.options["max_retries"] == 100
    assert crew.states() == {"at work or waiting for room": 8}
    fake.ended = [1, 2]
    assert crew.states() == {"at work or waiting for room": 6}
    assert crew.last_words() == "no such task"
    crew.cancel()
    assert sorted(map(str, fake.ended))[-1] == "shutdown"
    assert crew.states() == {}


def test_a_worker_that_fits_nowhere_is_refused_on_this_machine(ray):
    fake = ray([node(CPU=4.0)])
    with pytest.raises(BenchError, match="no worker fits on this machine: CPU 1, GPU 1"):
        spread(nothing, AskedCluster("ray", each=Allotment(1, 1)))
    assert fake.address == "local"
    assert fake.ended == ["shutdown"]


def test_a_cluster_that_is_not_there(ray):
    ray([], here=False)
    with pytest.raises(BenchError, match="no Ray cluster at 'far:1': nobody listens"):
        spread(nothing, AskedCluster("ray", address="far:1"))


def test_no_cluster_library_is_loaded_unless_it_is_asked_for():
    code = (
        "import sys, fewbench.cli, fewbench.cli.remote, fewbench.runner.executors.slurm\n"
        "import fewbench.runner.executors.ray\n"
        "assert not {'ray', 'submitit', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
