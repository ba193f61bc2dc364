"""Whole grids that are killed, whose workers are killed, or whose disk is full: long trials, run
with `-m slow`.

The grid has a method that takes a trained teacher, one that takes a shared preparation, and keeps
its models. Whatever happens to it, once it is resumed its answers are those of a grid that nothing
happened to, and what a store has told of is never lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fewbench.store.store import Store

pytestmark = pytest.mark.slow

METHODS = "majority,prompt-ft,vanilla-kd,theseus,ppt:tokens=8,pretrain_steps=20"
RUNS = 10


@pytest.fixture(scope="module")
def grid(tiny_model: Path) -> Callable[[Path], list[str]]:
    """Return the command of the grid, by the folder of its results."""

    def command(results: Path) -> list[str]:
        given = [
            "--tasks",
            "demo-sentiment",
            "--k",
            2,
            "--seeds",
            "13,21",
            "--protocol",
            "quick",
            "--workers",
            2,
        ]
        models = ["--student", tiny_model, "--teacher", tiny_model, "--keep-models", "--limit", 8]
        line = ["run", "--methods", METHODS, *given, *models, "--results", results, "--offline"]
        return [sys.executable, "-m", "fewbench", *map(str, line)]

    return command


@pytest.fixture(scope="module")
def wanted(
    grid: Callable[[Path], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Return the answers of a grid that nothing happened to, and the models it kept."""
    results = tmp_path_factory.mktemp("whole") / "results"
    finish(grid(results))
    found = answers(results)
    assert len(found) >= RUNS
    return found


def finish(line: list[str]) -> None:
    """Run a grid to its end."""
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def answers(results: Path) -> dict[str, Any]:
    """Return the scores, choice and predictions of each finished run, by key."""
    records = [record for record in Store(results).records() if record.status == "ok"]
    return {
        record.run.key: (record.scores, record.selection, record.predictions) for record in records
    }


def check(results: Path, wanted: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Check a store after a fault: nothing damaged, nothing lost, no run failed; return what it
    holds.
    """
    store = Store(results)
    assert not [damage for damage in store.fsck() if damage.serious]
    assert not [record.error for record in store.records() if record.status == "failed"]
    found = answers(results)
    assert found == {key: wanted[key] for key in found}
    assert before.keys() <= found.keys()
    return found


def start(line: list[str]) -> subprocess.Popen[bytes]:
    """Start a grid in a process group of its own."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(line, stdout=quiet, stderr=quiet, start_new_session=True)


def test_a_grid_killed_a_hundred_times(grid, wanted, tmp_path):
    draw, kills, rounds = random.Random(19), 0, 0
    while kills < 100:
        results, rounds = tmp_path / f"round{rounds}", rounds + 1
        found: dict[str, Any] = {}
        while found.keys() != wanted.keys() and kills < 100:
            process = start(grid(results))
            try:
                process.wait(timeout=draw.uniform(2, 14))
            except subprocess.TimeoutExpired:
                kills += 1
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            process.wait()
            found = check(results, wanted, found)
        finish(grid(results))
        assert answers(results) == wanted
        assert {damage.severity for damage in Store(results).fsck()} <= {"leftover"}
    print(f"\n{kills} kills of {rounds} grids")


def children(pid: int) -> list[int]:
    """Return the worker processes of a grid."""
    done = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", "multiprocessing|fewbench"], capture_output=True, text=True
    )
    return [int(line) for line in done.stdout.split()]


def test_twenty_workers_killed(grid, wanted, tmp_path):
    """A run whose worker is killed is begun again; no other run is blamed."""
    draw, kills, rounds = random.Random(20), 0, 0
    while kills < 20:
        results, rounds = tmp_path / f"round{rounds}", rounds + 1
        process = start(grid(results))
        time.sleep(draw.uniform(4, 8))
        if process.poll() is None and (workers := children(process.pid)):
            os.kill(draw.choice(workers), signal.SIGKILL)
            kills += 1
        process.wait(timeout=600)
        check(results, wanted, {})
        finish(grid(results))
        assert answers(results) == wanted
    print(f"\n{kills} workers killed in {rounds} grids")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return what mounts a disk of so many kilobytes, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(size: int) -> Path:
        subprocess.run(["umount", disk], capture_output=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk], capture_output=True
        )
        if done.returncode:
            pytest.skip("no disk can be mounted here")
        return disk

    yield mount
    subprocess.run(["umount", disk], capture_output=True)


def test_sixty_full_disks(grid, wanted, small_disk, tmp_path):
    """A disk that is full in the middle of a grid fails no method; with more room the grid goes on."""
    draw, told = random.Random(21), 0
    for _ in range(60):
        disk = small_disk(draw.randrange(20, 620))
        results = disk / "results"
        done = subprocess.run(grid(results), capture_output=True, text=True, timeout=600)
        assert done.returncode in (0, 1), done.stderr
        told += done.returncode == 1
        assert done.returncode == 0 or "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        found = check(results, wanted, {})
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        finish(grid(results))
        assert answers(results) == wanted and found.keys() <= wanted.keys()
        assert not Store(results).fsck()
    assert told > 40
    print(f"\n60 disks, {told} of them full in the middle of a grid")
