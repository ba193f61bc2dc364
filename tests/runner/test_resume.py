"""A run that was killed goes on from its last checkpoint, and ends in the same bits."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.nn.checkpoint import Checkpoints, SavedState
from fewbench.nn.fit_context import FitContext, Models
from fewbench.registry.methods import methods
from fewbench.runner.run import carry_out
from fewbench.store.artifacts import Artifacts
from fewbench.store.parts import RunTiming
from fewbench.store.record import to_json
from fewbench.testing import run_job, toy_job, toy_protocol

TRAINED = sorted(
    name for name, method in methods().items() if {"lr", "prompt_lr"} & set(method.settings)
)


CPU = torch.device("cpu")


class Killed(BaseException):
    """Stands for the end of the process."""


def without_times(record) -> dict:
    parts = json.loads(to_json(replace(record, timing=RunTiming(), predictions=None)))
    return {name: part for name, part in parts.items() if name not in ("environment", "checksum")}


def job_of(name, tiny_model, settings=None):
    protocol = toy_protocol(max_steps=4, eval_every=2)
    return toy_job(methods()[name], tiny_model, settings=settings, protocol=protocol)


def killed_at(number, job, artifacts, monkeypatch) -> int:
    """Carry a job out, and end it right after a checkpoint; return how many were written."""
    write, count = Checkpoints.write, 0

    def and_die(self, *rest):
        nonlocal count
        write(self, *rest)
        count += 1
        if count == number:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "write", and_die)
        carry_out(job, Models(CPU), 1, artifacts)
    return count


@pytest.mark.parametrize("name", TRAINED)
def test_a_killed_run_ends_in_the_same_bits(tiny_model, tmp_path, monkeypatch, name, inputs):
    job = job_of(name, tiny_model, inputs(name))
    artifacts = Artifacts(tmp_path / "artifacts")
    monkeypatch.setenv("FEWBENCH_CHECKPOINT_SECONDS", "1e9")
    record, predictions = run_job(job, artifacts)
    assert not artifacts.unfinished.root.exists()

    monkeypatch.setenv("FEWBENCH_CHECKPOINT_SECONDS", "0")
    written = killed_at(0, job, artifacts, monkeypatch)
    assert written >= len(job.trials)
    for number in sorted({1, max(1, written // 2), written}):
        artifacts.unfinished.remove("")
        assert killed_at(number, job, artifacts, monkeypatch) == number
        assert list(artifacts.unfinished.root.iterdir())
        again, same = carry_out(job, Models(CPU), 1, artifacts)
        ours, theirs = without_times(again), without_times(record)
        assert {name: part for name, part in ours.items() if theirs[name] != part} == {}
        assert np.array_equal(same.array, predictions.array)
        times = again.timing
        assert sum(times.trial_seconds) <= times.search_seconds + 0.01 <= times.total_seconds + 0.02


def test_a_loss_of_unknown_state_starts_again(tiny_model, tmp_path, monkeypatch):
    """What a training carries is known if the method says so: else nothing is kept."""
    monkeypatch.setenv("FEWBENCH_CHECKPOINT_SECONDS", "0")
    given = []
    train = FitContext.train

    def silent(self, model, *, carries=None, **more):
        given.append(carries)
        return train(self, model, **more)

    monkeypatch.setattr(FitContext, "train", silent)
    artifacts = Artifacts(tmp_path / "artifacts")
    run_job(job_of("prompt-kd", tiny_model), artifacts)
    assert () in given
    trainings = [file for file in artifacts.unfinished.root.iterdir() if file.stem.count("-") == 2]
    assert [
        file for file in trainings if job_of("prompt-kd", tiny_model).model_key in file.name
    ] == []


def test_a_damaged_checkpoint_is_not_used(tmp_path):
    place = Checkpoints(Artifacts(tmp_path), "k", CPU, every=0)
    place.write("k-0-1", {"step": 3}, {"x": torch.arange(3)})
    stored = place.read("k-0-1")
    assert isinstance(stored, SavedState) and stored.facts == {"step": 3}
    assert stored.tensors["x"].tolist() == [0, 1, 2]
    file = tmp_path / "k-0-1.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert place.read("k-0-1") is None
    place.write("k-0-1", {}, {})
    monkey = Checkpoints(Artifacts(tmp_path), "k", torch.device("meta"), every=0)
    assert monkey.read("k-0-1") is None  # made on another kind of device


def test_a_full_disk_stops_no_run(tmp_path, monkeypatch):
    def full(self, key, manifest, tensors):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Artifacts, "save", full)
    place = Checkpoints(Artifacts(tmp_path), "k", CPU, every=0)
    place.write("k-0-1", {}, {"x": torch.zeros(2)})
    assert place.read("k-0-1") is None


def test_a_failed_write_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    place = Checkpoints(Artifacts(tmp_path), "k", CPU, every=0)
    place.write("k-0-1", {"step": 1}, {"x": torch.zeros(2)})
    save = Artifacts.save
    monkeypatch.setattr(Artifacts, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    place.write("k-0-1", {"step": 2}, {"x": torch.zeros(2)})
    monkeypatch.setattr(Artifacts, "save", save)
    assert place.read("k-0-1").facts == {"step": 1}


def test_another_number_of_threads_starts_again(tmp_path, monkeypatch):
    Checkpoints(Artifacts(tmp_path), "k", CPU, every=0).write("k-0-1", {}, {"x": torch.zeros(2)})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert Checkpoints(Artifacts(tmp_path), "k", CPU, every=0).read("k-0-1") is None


@pytest.mark.parametrize("text", ["soon", "-1", "nan"])
def test_a_wrong_time_between_checkpoints_is_refused_before_anything_runs(
    bench, tmp_path, monkeypatch, text
):
    monkeypatch.setenv("FEWBENCH_CHECKPOINT_SECONDS", text)
    done = bench(
        "run", "--tasks", "demo-sentiment", "--methods", "majority", "--results", tmp_path / "r"
    )
    assert done.returncode == 2 and f"FEWBENCH_CHECKPOINT_SECONDS is '{text}'" in done.stderr
    assert not (tmp_path / "r" / "runs").exists()
