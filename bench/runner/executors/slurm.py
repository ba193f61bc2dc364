"""Workers that are jobs of Slurm, one array of them, sent by submitit (Debian: slurm-wlm).

Slurm signals a job some time before its limit. The worker then stops as at Ctrl-C and is queued
again; so it is when Slurm preempts it. `squeue` says who is left: it needs no accounting.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fewbench.errors import BenchError, how_many
from fewbench.io.atomic import make_folder, remove, unwritable
from fewbench.runner.executors.asked import Allotment, AskedCluster
from fewbench.runner.executors.crew import Crew, Errand
from fewbench.types import Json

PROGRAMS = ("sbatch", "srun", "squeue", "scancel", "scontrol")

NOTICE = 90
"""Seconds before its time limit at which a job is told to stop."""

MOST_RESTARTS = 100
"""How often a job is queued again at its time limit, so that one that cannot get on ends."""

TOLD = signal.SIGUSR2
"""The signal of that."""

GRACE = 10.0
"""Seconds in which workers find out that all is done."""

ANSWER_SECONDS = 60.0
"""How long a program of Slurm may take."""


class Requeued(NamedTuple):
    """An errand that is queued again where Slurm's time limit comes before its end."""

    errand: Errand

    def __call__(self) -> None:
        """Do the errand; end it in time, and ask Slurm for another start."""
        with _told_in_time() as told:
            try:
                self.errand()
            except KeyboardInterrupt:
                if not told:
                    sys.exit(128 + signal.SIGTERM)
                _queue_again()


@contextlib.contextmanager
def _told_in_time() -> Iterator[list[int]]:
    """Pass Slurm's notice on as SIGTERM, and note it.

    SIGTERM waits until files are written. The server of processes starts while the notice is
    ignored, and so it is in all processes below: Slurm signals each of them.
    """
    from fewbench.runner.processes import get_ready

    told: list[int] = []

    def hear(number: int, frame: object) -> None:
        told.append(number)
        signal.raise_signal(signal.SIGTERM)

    before = signal.signal(TOLD, signal.SIG_IGN)
    get_ready()
    signal.signal(TOLD, hear)
    try:
        yield told
    finally:
        signal.signal(TOLD, signal.SIG_IGN if before is None else before)


def _queue_again() -> None:
    """Queue this job again, unless that was done too often."""
    if int(os.environ.get("SLURM_RESTART_COUNT", "0")) < MOST_RESTARTS:
        _slurm("scontrol", "requeue", os.environ["SLURM_JOB_ID"])


class SlurmJobs(Crew):
    """An array of jobs.

    Args:
        number: the array's.
        count: of its jobs.
        logs: the folder of what they print, in one file each.
    """

    def __init__(self, number: str, count: int, logs: Path) -> None:
        self.number, self.logs = number, logs
        self.title = f"Slurm job {number}, {how_many(count, 'worker')}"
        self._states: Mapping[str, int] = {"pending": count}

    def states(self) -> Mapping[str, int]:
        """Ask `squeue`; while it does not answer, what it said last holds."""
        asked = ("--noheader", "--array", "--jobs", self.number, "--format", "%T")
        try:
            said = _slurm("squeue", *asked)
        except BenchError as error:
            if "Invalid job id" not in error.problem:  # which a job is that ended a while ago
                return self._states
            said = ""
        self._states = Counter(said.lower().split())
        return self._states

    def cancel(self) -> None:
        """Cancel the array; what its jobs have been sent is removed."""
        _slurm("scancel", self.number)
        self._tidy()

    def dismiss(self) -> None:
        """Cancel the jobs that have not started, and after a while those that have not ended."""
        with contextlib.suppress(BenchError):
            _slurm("scancel", "--state=PENDING", self.number)
            until = time.monotonic() + GRACE
            while self.states() and time.monotonic() < until:
                time.sleep(0.5)
            _slurm("scancel", self.number)
        self._tidy()

    def last_words(self) -> str:
        """Return the last line of a log that names an error, or its last one, and its file."""
        for log in sorted(self.logs.glob(f"{self.number}_*.out"), reverse=True):
            lines = log.read_text("utf-8", "replace").strip().splitlines()
            errors = [line for line in lines if "Error" in line]
            if lines:
                return f"{(errors or lines)[-1].strip()} ({log})"
        return f"no log in {self.logs}"

    def _tidy(self) -> None:
        """Remove what submitit sends and keeps; the logs and the script stay."""
        for file in self.logs.glob(f"{self.number}_*.pkl"):
            remove(file)


def submit(errand: Errand, asked: AskedCluster, logs: Path) -> SlurmJobs:
    """Submit an array of jobs that do an errand.

    Raises:
        BenchError: this is no machine of a Slurm cluster, or Slurm refuses.
        StoreUnwritable: the folder of logs cannot be made.
    """
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        raise BenchError(
            f"--executor slurm needs the program {lacking[0]}, which is not here",
            fix="run it on a login node of the cluster, or --executor local",
        )
    try:
        make_folder(logs)
    except OSError as error:
        raise unwritable(logs, error, "nothing was begun") from error
    submitit: Any = importlib.import_module("submitit")
    executor = submitit.SlurmExecutor(folder=logs)
    executor.update_parameters(**_parameters(asked.each))
    count = asked.jobs or 1
    try:
        with executor.batch():
            jobs = [executor.submit(Requeued(errand)) for _ in range(count)]
    except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError) as error:
        raise _refused(str(error)) from error
    return SlurmJobs(jobs[0].job_id.partition("_")[0], count, logs)


def _parameters(each: Allotment) -> Json:
    """Return the parameters that submitit writes into the script of the jobs."""
    cpus = int(each.cpus)
    return {
        "job_name": "bench",
        "time": each.minutes,
        "cpus_per_task": cpus,
        "gpus_per_node": int(each.gpus) or None,
        "mem": f"{each.memory}M" if each.memory else None,
        "partition": each.partition or None,
        "account": each.account or None,
        "qos": each.qos or None,
        "constraint": each.constraint or None,
        "signal_delay_s": NOTICE,
        "stderr_to_stdout": True,
        "wckey": None,
        "additional_parameters": {"requeue": True},
        "srun_args": [f"--cpus-per-task={cpus}"],  # which srun no longer takes from its job
    }


def _refused(text: str) -> BenchError:
    """Return the error for a job that Slurm does not take, in Slurm's own words."""
    said = [line.strip() for line in text.splitlines() if "error:" in line]
    reasons = dict.fromkeys(line.rpartition("error:")[2].strip() for line in said)
    return BenchError(
        f"Slurm refuses the jobs: {'; '.join(reasons) or text}",
        fix="--per-job; sinfo shows the partitions, sacctmgr the accounts",
    )


def _slurm(program: str, *arguments: str) -> str:
    """Return the output of a program of Slurm.

    Raises:
        BenchError: it fails, or does not answer in time.
    """
    try:
        done = subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{program} does not answer: {error}") from error
    if done.returncode:
        raise BenchError(f"{program} fails: {done.stderr.strip()}")
    return done.stdout
