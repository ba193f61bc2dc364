"""The machine and software that a record is made with."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fewbench.errors import BenchError, shortened
from fewbench.store.parts import Environment

CHECKPOINT_SECONDS = 60.0
"""The time between two checkpoints, unless FEWBENCH_CHECKPOINT_SECONDS says otherwise."""

LONGEST_NAME = 100
"""Most characters of a submitter's name."""

PACKAGES = (
    "fewbench",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "scikit-learn",
    "scipy",
    "numpy",
)


def environment(device: str, threads: int) -> Environment:
    """Return the machine and software of this process, and the code's commit in a checkout."""
    commit, dirty = _commit()
    return Environment(
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        device=device_name(device),
        threads=threads,
        cores=core_count(),
        load=round(os.getloadavg()[0], 2),
        system=f"{platform.system()} {platform.machine()}",
        commit=commit,
        dirty=dirty,
        submitter=submitter(),
    )


def now() -> str:
    """Return the time in UTC, to the second: `2026-11-28T15:04:13Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def submitter() -> str | None:
    """Return the name that FEWBENCH_SUBMITTER gives; None if it is not set.

    Raises:
        BenchError: it is longer than a name, or holds characters that are not printed.
    """
    name = os.environ.get("FEWBENCH_SUBMITTER", "").strip()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise BenchError(
            f"FEWBENCH_SUBMITTER is '{shortened(name)}'",
            allowed=f"a name of up to {LONGEST_NAME} characters",
            fix="FEWBENCH_SUBMITTER='Ada Lovelace'",
        )
    return name or None


def checkpoint_seconds() -> float:
    """Return the time between two checkpoints of a run, in seconds.

    Raises:
        BenchError: FEWBENCH_CHECKPOINT_SECONDS is no such time.
    """
    text = os.environ.get("FEWBENCH_CHECKPOINT_SECONDS") or str(CHECKPOINT_SECONDS)
    with suppress(ValueError):
        if float(text) >= 0:
            return float(text)
    raise BenchError(
        f"FEWBENCH_CHECKPOINT_SECONDS is '{text}'",
        allowed="seconds from 0",
        fix="FEWBENCH_CHECKPOINT_SECONDS=60",
    )


def peak_memory_mib() -> float:
    """Return the most memory this process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if platform.system() == "Darwin" else 1 << 10), 1)


def device_name(device: str) -> str:
    """Return the accelerator's or the processor's own name."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    return _processor()


@lru_cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"cpu: {names[0]}" if names else f"cpu: {platform.machine()}"


def core_count() -> int | None:
    """Return the number of cores that this process may use, or None if that is unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def cores() -> int:
    """Return the number of cores that this process may use; 1 if that is unknown."""
    return core_count() or 1


@lru_cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@lru_cache
def _commit() -> tuple[str | None, bool | None]:
    """Return the commit of the checkout this code runs from, and True if files differ from it."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None, None
    ours = ("bench", "methods", "tasks")
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *ours)
    except (OSError, subprocess.SubprocessError):
        return None, None
    return head, bool(changes)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
