"""Rebuild a stored run: its task, its test inputs and, if it was kept, its trained model.

Measurements of stored runs (their cost, attacks on them) start from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fewbench.data.reader import read_rows
from fewbench.data.task_prompts import with_prompt
from fewbench.errors import BenchError
from fewbench.io.checked_json import joint_hash
from fewbench.measure.tested_rows import check_definition, rows_of_run
from fewbench.registry.methods import MethodInfo, known_methods
from fewbench.registry.pipeline import info_of
from fewbench.registry.pretrained import embedded_models, find_model
from fewbench.registry.protocols import fitted
from fewbench.registry.tasks import choose_tasks
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Example, ModelRef, Rows, Task

if TYPE_CHECKING:
    from fewbench.nn.fit_context import Models
    from fewbench.nn.task_model import TaskModel


@dataclass(frozen=True, slots=True)
class Locations:
    """The locations of the things that a record only names.

    Args:
        store: the records and kept models.
        data: the folder of data files.
        models: folders of backbones that are neither embedded nor on the hub.
        tasks: TOML files of tasks that are not the project's.
        methods: files of methods that are not installed, for the classes of their models.
        offline: never use the network.
    """

    store: Store
    data: Path | None = None
    models: Sequence[str] = ()
    tasks: Sequence[str] = ()
    offline: bool = False
    methods: Sequence[str] = ()


def task_of(record: Record, locations: Locations) -> Task:
    """Return a run's task, with the prompt and the maximum length it had.

    Raises:
        BenchError: it is no longer declared, or its version or definition has changed.
    """
    run = record.run
    name = f"{run.task}@{run.source}"
    task = next(
        task for task in choose_tasks([*locations.tasks, name])[::-1] if task.name == run.task
    )
    if task.version != run.task_version:
        raise BenchError(
            f"run {run.key[:8]} has version {run.task_version} of {name}, "
            f"which is now {task.version}",
            fix="bench run, to make one of this version",
        )
    if run.template:
        task = with_prompt(task, run.template)
    check_definition(record, task)
    return fitted(task, run.protocol)


def test_rows(
    record: Record, task: Task, locations: Locations, rows: Rows | None = None
) -> tuple[Example, ...]:
    """Return the examples a run was tested on, labels included.

    Args:
        record: of the run.
        task: its task.
        locations: where the data are.
        rows: all rows of the task's source, if they have been read.

    Raises:
        BenchError: the data are missing, or not those of the run.
    """
    return rows_of_run(
        record, task, rows or read_rows(task, locations.data, offline=locations.offline)
    )


def backbone_of(
    record: Record, manifest_name: str, revision: str, locations: Locations
) -> ModelRef:
    """Find the backbone that a kept model was made of, by its revision.

    Raises:
        BenchError: it is not found.
    """
    names = [*locations.models, manifest_name]
    for name in names:
        try:
            ref = find_model(name, offline=locations.offline)
        except BenchError:
            if name in locations.models:
                raise
            continue
        if ref.revision == revision:
            return ref
    raise BenchError(
        f"run {record.run.key[:8]} was made with the model {manifest_name} ({revision}), "
        "which is not found",
        allowed=[*embedded_models(), "folders given by --model"],
        fix=f"--model FOLDER, that of {manifest_name}",
    )


def model_of(record: Record, task: Task, models: Models, locations: Locations) -> TaskModel:
    """Return a run's trained model, in evaluation mode.

    Raises:
        BenchError: the run has no model, the model was not kept, its backbone is not found, or the
            file of its method has changed.
        StoreDamaged: the model's file is not what was written.
    """
    from fewbench.nn.serialize import unpack

    try:
        manifest, content = locations.store.artifacts.read(model_key(record))
    except FileNotFoundError as error:
        raise not_kept(record) from error
    name, revision = manifest["backbone"]["name"], manifest["backbone"]["revision"]
    backbone = backbone_of(record, name, revision, locations)
    known = known_methods(locations.methods)
    _check_code(record, known)
    return unpack(manifest, content, task, backbone, models, known)


def _check_code(record: Record, known: Mapping[str, MethodInfo]) -> None:
    """Refuse a user's method that has changed: old weights in a new class are another model."""
    method = info_of(record.run.method, known)
    if method is not None and method.by_path and method.code_hash() != record.method_code:
        raise BenchError(
            f"the code of {method.name} has changed since run {record.run.key[:8]}",
            where=str(method.file),
            fix="the same bench run, which redoes what the earlier code of a named file made",
        )


def model_key(record: Record) -> str:
    """Return the key of a run's kept model: a hash of the run and its code."""
    return joint_hash("model", record.run.key, record.method_code)


def not_kept(record: Record) -> BenchError:
    """Return the error for a run without a kept model."""
    run = record.run
    where = f"{run.task}@{run.source} {run.method} k{run.k} s{run.seed}"
    if record.status == "failed":
        return BenchError(
            f"run {run.key[:8]} failed, so it has no model",
            where=where,
            fix="bench run --retry-failed",
        )
    if run.student is None and run.teacher is None:
        return BenchError(
            f"the method '{run.method}' has no model",
            where=where,
            allowed="runs with a trained model",
        )
    return BenchError(
        f"the model of run {run.key[:8]} was not kept",
        where=where,
        fix="the same bench run with --keep-models: it redoes only what has no model kept",
    )
