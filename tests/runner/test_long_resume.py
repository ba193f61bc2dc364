"""A full-data run that is killed at twenty random moments; run with `-m slow`."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fewbench.store.parts import RunTiming
from fewbench.store.record import to_json
from fewbench.store.store import Store

pytestmark = pytest.mark.slow

PROTOCOL = """
[long]
title = "Long enough to be killed"
paper = "none"
k = "full"
seeds = [13]
grid = {{ lr = [1e-4, 5e-4], batch_size = [8] }}
epochs = {epochs}
evals_per_epoch = 1
length_window = 4
schedule = "linear"
weight_decay = 0.0
max_grad_norm = 1.0
eval_batch_size = 16
checkpoint_tie = "first"
trial_tie = "first"
ddof = 0
"""
KILLS = 20


def command(protocol: Path, results: Path, method: str) -> list[str]:
    given = ["--tasks", "demo-sentiment", "--k", "full", "--protocol", protocol, "--workers", 1]
    line = ["run", "--methods", method, *given, "--results", results, "--offline"]
    return [sys.executable, "-m", "fewbench", *map(str, line)]


def outcome(results: Path, method: str) -> dict[str, object]:
    """Return a run's record without its times, and the bytes of its predictions."""
    name = method.partition(":")[0]
    (record,) = [one for one in Store(results).records() if one.run.method == name]
    assert record.status == "ok", record.error
    (file,) = (results / "runs").rglob(f"{name}/*/*.safetensors")
    parts = json.loads(to_json(replace(record, timing=RunTiming())))
    kept = {name: part for name, part in parts.items() if name not in ("environment", "checksum")}
    return {**kept, "bytes": file.read_bytes().hex()}


def newest(folder: Path) -> float:
    """Return the time at which the newest checkpoint was written."""
    times = []
    for file in folder.glob("*.safetensors"):
        try:
            times.append(file.stat().st_mtime)
        except FileNotFoundError:  # it has just been replaced
            continue
    return max(times, default=0.0)


def killed_in_training(line: list[str], results: Path, draw: random.Random) -> bool:
    """Start a run and kill it after a checkpoint of its own; False if it ended before."""
    before = newest(results / "unfinished")
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(line, stdout=quiet, stderr=quiet, start_new_session=True)
    while process.poll() is None and newest(results / "unfinished") <= before:
        time.sleep(0.02)
    time.sleep(draw.uniform(0, 1.5))
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


@pytest.mark.parametrize(("method", "epochs"), [("ft", 60), ("prompt-distiller:n=0", 20)])
def test_twenty_kills_and_the_answers_are_the_same(tmp_path, monkeypatch, method, epochs):
    protocol = tmp_path / "long.toml"
    protocol.write_text(PROTOCOL.format(epochs=epochs), "utf-8")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(protocol, whole, method), capture_output=True, check=True, timeout=3000)
    assert not list(whole.glob("unfinished/*"))
    monkeypatch.setenv("FEWBENCH_CHECKPOINT_SECONDS", "0.5")
    line, draw, kills = command(protocol, broken, method), random.Random(7), 0
    while kills < KILLS and killed_in_training(line, broken, draw):
        kills += 1
    assert kills == KILLS, f"the run ended after {kills} kills"
    subprocess.run(line, capture_output=True, check=True, timeout=3000)
    assert outcome(broken, method) == outcome(whole, method)
    assert not list(broken.glob("unfinished/*"))
