"""How many runs each device takes: by memory, by numbers given, dealt out evenly."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods, read_method
from fewbench.registry.pretrained import count_parameters
from fewbench.runner import devices
from fewbench.runner.devices import choose_device, choose_devices, make_rooms, spread
from fewbench.runner.footprint import CONTEXT, TRAINED, gpu_bytes
from fewbench.runner.processes import Pool, WorkConditions
from fewbench.runner.run import carry_out
from fewbench.testing import toy_job, toy_protocol, toy_task


@pytest.fixture
def gpus(monkeypatch):
    """Make this process see GPUs with so many bytes free."""

    def see(*free: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
        monkeypatch.setattr(devices, "free_memory", lambda names: list(free)[: len(names)])

    return see


def rooms(device="cuda", works=(), workers=None, per_device=None, cores=8):
    return make_rooms(device, works, workers=workers, per_device=per_device, cores=cores)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:1", "meta", ""])
def test_devices_that_are_not_there(name):
    with pytest.raises(BenchError, match="device"):
        choose_device(name)


def test_devices_by_name(gpus):
    assert choose_devices("cpu") == ("cpu",)
    gpus(1, 1, 1)
    assert choose_devices("cuda") == choose_devices("auto") == ("cuda:0", "cuda:1", "cuda:2")
    assert choose_devices("cuda:1") == ("cuda:1",)


def test_on_a_cpu_there_is_one_run_per_core_unless_told():
    assert rooms("cpu") == {"cpu": 8}
    assert rooms("cpu", workers=3) == {"cpu": 3}


def test_given_numbers_are_of_each_gpu_or_of_all(gpus):
    gpus(1, 1)
    assert rooms(per_device=3) == {"cuda:0": 3, "cuda:1": 3}
    assert rooms(workers=3) == {"cuda:0": 2, "cuda:1": 1}
    assert rooms(workers=1) == {"cuda:0": 1}
    assert rooms("cuda:1", workers=2) == {"cuda:1": 2}


def test_memory_says_how_many_where_nothing_else_does(gpus, tiny_model):
    job = toy_job(methods()["prompt-ft"], tiny_model)
    need = gpu_bytes(job)
    gpus(int(3.9 * need), int(2.6 * need))  # a fifth is left alone
    assert rooms(works=[job]) == {"cuda:0": 3, "cuda:1": 2}
    assert rooms(works=[job], cores=4) == {"cuda:0": 2, "cuda:1": 2}
    gpus(need // 2, need // 2)  # too little, by the estimate: one is tried all the same
    assert rooms(works=[job]) == {"cuda:0": 1, "cuda:1": 1}


def test_memory_that_cannot_be_read_is_one_error(monkeypatch):
    monkeypatch.setattr(devices, "free_bytes", os.stat)  # of a name that is no file
    with pytest.raises(BenchError, match="the free memory of cuda:0 cannot be read"):
        devices.free_memory(["cuda:0"])


def test_memory_is_asked_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(devices, "free_bytes", eval)
    (asked,) = devices.free_memory(["__import__('os').getpid()"])
    assert asked != os.getpid()


@pytest.mark.parametrize(
    ("room", "total", "given"),
    [
        ({"a": 5, "b": 1, "c": 5}, 6, {"a": 3, "b": 1, "c": 2}),
        ({"a": 2, "b": 2}, 99, {"a": 2, "b": 2}),
        ({"a": 2, "b": 2}, 1, {"a": 1}),
    ],
)
def test_places_are_dealt_out_in_turn(room, total, given):
    assert spread(room, total) == given


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "2", "--per-device", "2"], "are both given"),
        (["--per-device", "2", "--device", "cpu"], "is for GPUs"),
        (["--per-device", "2", "--device", "cpu", "--dry-run"], "is for GPUs"),
    ],
)
def test_numbers_that_contradict_are_refused_before_anything_runs(bench, tmp_path, options, said):
    asked = ["--methods", "majority", "--tasks", "demo-sentiment", "--seeds", "13"]
    ended = bench("run", *asked, "--results", str(tmp_path / "r"), *options)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert not list((tmp_path / "r").rglob("*.json"))


WHERE = """
import time
import numpy as np
from fewbench.types import Predictions

class Same:
    def predict(self, examples):
        shares = np.full((len(examples), 3), 1 / 3, np.float32)
        return Predictions(tuple(e.id for e in examples), probabilities=shares)

def fit(task, split, kit):
    time.sleep(0.3)
    return Same()
"""


def test_runs_go_to_the_device_with_the_most_room(tmp_path, tiny_model):
    """Numbered CPUs stand for GPUs: torch takes them for the one there is."""
    (tmp_path / "where.py").write_text(WHERE, "utf-8")
    method = read_method(tmp_path / "where.py")
    jobs = [toy_job(method, tiny_model, seed=seed) for seed in range(1, 7)]
    room, ends = {"cpu:0": 1, "cpu:1": 2}, []
    with Pool(WorkConditions(1), room) as pool:
        while jobs or pool.running:
            while jobs and pool.has_room:
                pool.start(jobs.pop())
            ends += pool.ended()
    assert [end.death for _, end in ends] == [None] * 6
    used = [end.device for _, end in ends]
    assert {name: used.count(name) for name in room} == {"cpu:0": 2, "cpu:1": 4}


@pytest.mark.parametrize("family", ["bert", "gpt2", "bart"])
def test_a_footprint_is_near_what_an_update_saves(tiny, family):
    """The tensors that autograd keeps in one update, on the longest inputs, by their storages."""
    folder = tiny(family)
    job = long_job(folder)
    weights = 4 * count_parameters(Path(folder))
    estimate = gpu_bytes(job) - CONTEXT - TRAINED * count_parameters(Path(folder))
    saved = saved_bytes(job) - weights
    assert 0.75 * saved < estimate < 2.5 * saved, (saved, estimate)


def test_a_preparation_is_reckoned_with_its_methods_own_batch(tiny_model):
    job = toy_job(methods()["ppt"], tiny_model)
    assert job.preparation is not None
    own = methods()["ppt"].settings["pretrain_batch"]
    usual = replace(job.preparation, settings={})
    twice = replace(job.preparation, settings={"pretrain_batch": 2 * own})
    alone = replace(job.preparation, settings={"pretrain_batch": own})
    assert gpu_bytes(usual) == gpu_bytes(alone) < gpu_bytes(twice)


def long_job(folder):
    job = toy_job(
        methods()["ft"], folder, toy_task("single", max_length=48), k=4, protocol=toy_protocol()
    )
    long = "the film was dull " * 20
    train = tuple(replace(row, texts=(long,)) for row in job.split.train)
    return replace(job, split=replace(job.split, train=train), trials=job.trials[:1])


def saved_bytes(job) -> int:
    """Return the most bytes that are saved for one backward pass, each storage once."""
    saved: dict[int, int] = {}
    peak = 0
    backward = torch.Tensor.backward

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def measured(self, *args, **options):
        nonlocal peak
        peak = max(peak, sum(saved.values()))
        backward(self, *args, **options)
        saved.clear()

    torch.Tensor.backward = measured
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            record, _ = carry_out(job, Models(torch.device("cpu")), threads=1)
    finally:
        torch.Tensor.backward = backward
    assert record.status == "ok", record.error
    return peak
