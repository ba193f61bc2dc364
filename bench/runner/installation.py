"""The state of this machine: versions, devices, data, models, and how to get what is missing."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from fewbench.data.fact_files import find_file as find_facts
from fewbench.data.facts import FactTask
from fewbench.data.reader import find_file
from fewbench.data.task_file import declared
from fewbench.errors import BenchError
from fewbench.registry.methods import methods, task_files
from fewbench.registry.pretrained import embedded_models
from fewbench.runner.environment import core_count
from fewbench.types import Task

REQUIRED = (
    "torch",
    "transformers",
    "datasets",
    "scikit-learn",
    "scipy",
    "pandas",
    "matplotlib",
    "safetensors",
)
EXTRAS = {
    "attack": "textattack",
    "evaluate": "evaluate",
    "ray": "ray",
    "slurm": "submitit",
    "energy": "codecarbon",
    "pages": "playwright",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "trackio": "trackio",
}


class Finding(NamedTuple):
    """One finding. `mark` is "ok", "-" (optional and missing) or "!" (in the way)."""

    mark: str
    what: str
    found: str
    fix: str = ""


def examine(data: Path | None, results: Path) -> list[Finding]:
    """Return all findings, the necessary first."""
    return [
        *_software(),
        *_devices(),
        *_models(),
        *_data(data),
        *_registry(),
        *_places(results),
        *_extras(),
    ]


def _software() -> Iterator[Finding]:
    yield Finding("ok", "python", platform.python_version())
    for name in ("fewbench", *REQUIRED):
        found = _version(name)
        yield Finding(
            "ok" if found else "!", name, found or "missing", "" if found else f"pip install {name}"
        )


def _devices() -> Iterator[Finding]:
    yield Finding("ok", "cpu", f"{core_count()} cores: as many workers, one thread each")
    try:
        import torch
    except ImportError:
        return
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    yield Finding("ok" if names else "-", "cuda", ", ".join(names) or "none")


def _models() -> Iterator[Finding]:
    names = list(embedded_models())
    yield Finding(
        "ok" if names else "!",
        "embedded models",
        ", ".join(names) or "none",
        "" if names else "reinstall",
    )


def _data(data: Path | None) -> Iterator[Finding]:
    if data is not None and not data.is_dir():
        yield Finding("!", "data folder", f"{data} is no folder", "--data DIR or FEWBENCH_DATA")
    elif data is None:
        yield Finding("-", "data folder", "none given", "--data DIR or FEWBENCH_DATA, or the hub")
    else:
        yield Finding("ok", "data folder", str(data))
    known = declared(task_files())
    for task in known.tasks.values():
        yield _task_data(task, data)
    for facts in known.facts.values():
        yield _facts_data(facts, data)


def _task_data(task: Task, data: Path | None) -> Finding:
    try:
        file = find_file(task, data, task.source.test)
    except BenchError as error:
        return Finding("-", task.full_name, "not here", error.fix or "")
    return Finding("ok", task.full_name, "files" if file else f"hub: {task.source.path}")


def _facts_data(facts: FactTask, data: Path | None) -> Finding:
    try:
        find_facts(facts, facts.facts, data)
    except BenchError as error:
        return Finding("-", facts.name, "not here", error.fix or "")
    return Finding("ok", facts.name, "files")


def _registry() -> Iterator[Finding]:
    yield Finding("ok", "methods", " ".join(methods()))


def _places(results: Path) -> Iterator[Finding]:
    place = next(folder for folder in (results, *results.absolute().parents) if folder.is_dir())
    writable = os.access(place, os.W_OK)
    yield Finding(
        "ok" if writable else "!",
        "results folder",
        str(results),
        "" if writable else "--results DIR",
    )
    off = [
        name
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
        if os.environ.get(name, "0") not in ("", "0")
    ]
    yield Finding("ok", "hub", f"off ({', '.join(off)})" if off else "on")


def _extras() -> Iterator[Finding]:
    for extra, package in EXTRAS.items():
        found = _version(package)
        yield Finding(
            "ok" if found else "-",
            package,
            found or "not installed",
            _how_to_get(extra) if not found else "",
        )


def _how_to_get(extra: str) -> str:
    major = (_version("transformers") or "0").partition(".")[0]
    if extra == "attack" and int(major) >= 5:
        return "needs transformers below 5: pip install 'fewbench[attack]' in another environment"
    return f"pip install 'fewbench[{extra}]'"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
