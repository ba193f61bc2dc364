"""The conformance suite: what every method must do, checked on toy tasks with a tiny model.

Other packages use it in a test of their own, with any small masked language model whose vocabulary
has common words:

    check_method(read_method(Path("my_method.py")), Path("tiny-bert"))
"""

from __future__ import annotations

import copy
import inspect
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from fewbench.errors import BenchError
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.serialize import pack, unpack
from fewbench.nn.task_model import TaskModel
from fewbench.registry.methods import MethodInfo
from fewbench.registry.settings import bind
from fewbench.runner.jobs import Job, Plan, Preparation
from fewbench.runner.preflight import is_refused
from fewbench.runner.run import carry_out, prepare
from fewbench.runner.steps import fit
from fewbench.runner.toys import toy_job, toy_protocol, toy_rows, toy_task
from fewbench.store.artifacts import Artifacts
from fewbench.store.parts import Environment, RunTiming
from fewbench.store.record import Record
from fewbench.types import Kind, Predictions, Settings

__all__ = [
    "check_method",
    "run_job",
    "toy_job",
    "toy_protocol",
    "toy_rows",
    "toy_task",
    "untimed",
]


def run_job(job: Job, artifacts: Artifacts) -> tuple[Record, Predictions | None]:
    """Carry a job out on the CPU, and before it what it needs that is not built yet."""
    models = Models(torch.device("cpu"))
    _build_needs(job, models, artifacts)
    return carry_out(job, models, 1, artifacts)


def _build_needs(job: Job, models: Models, artifacts: Artifacts) -> None:
    for stage in Plan((job,), {}, artifacts).stages([job])[:-1]:
        for work in stage:
            if isinstance(work, Preparation):
                problem = prepare(work, models, artifacts)
            elif artifacts.has(work.model_key):  # no record tells of it: there is no store
                continue
            else:
                problem = carry_out(work, models, 1, artifacts)[0].error
            if problem:
                raise AssertionError(f"{work.title}: {problem}")


def check_method(
    method: MethodInfo,
    model_folder: Path,
    scratch: Path | None = None,
    inputs: Settings | None = None,
) -> None:
    """Check that a method keeps the harness's contract on every kind of task that it takes.

    Args:
        method: as `fewbench.registry.methods.read_method` reads it.
        model_folder: a small masked language model and its tokenizer, used as student and as
            teacher.
        scratch: a folder for what runs build for others; a temporary one if None.
        inputs: the settings without which it does not run, which name models or files.

    Raises:
        AssertionError: what it does not keep.
    """
    if scratch is None:
        with tempfile.TemporaryDirectory() as folder:
            check_method(method, model_folder, Path(folder), inputs)
        return
    artifacts = Artifacts(scratch)
    check_settings(method)
    for kind in _able(method, model_folder, inputs):
        check_runs(method, model_folder, kind, artifacts, inputs)
        check_predictor(method, model_folder, kind, artifacts, inputs)
    for preset in method.presets:
        check_preset(method, model_folder, preset, artifacts, inputs)
    check_failure(method, model_folder, artifacts, inputs)


def taken(method: MethodInfo) -> list[Kind]:
    """Return the kinds of task that a method takes."""
    return [kind for kind in get_args(Kind) if kind in method.kinds]


def _able(method: MethodInfo, model_folder: Path, inputs: Settings | None) -> list[Kind]:
    """Return the kinds of task that a method takes with a model; at least one.

    Raises:
        AssertionError: it refuses the model for all.
    """
    models = Models(torch.device("cpu"))
    jobs = {
        kind: toy_job(method, model_folder, toy_task(kind), settings=inputs)
        for kind in taken(method)
    }
    able = [kind for kind, job in jobs.items() if not is_refused(job, models)]
    _check(bool(able), method, "it refuses the model for every kind of task")
    return able


def check_settings(method: MethodInfo) -> None:
    """Check that settings are bound by the source before loading, and that the source is right."""
    _check_declared_names(method)
    _check_unknown_refused(method)
    _check_signatures(method)
    if method.checks:
        _check_check(method)


def _check_declared_names(method: MethodInfo) -> None:
    """Check that SEARCH, GRID, SEARCH_IF and PRESETS name settings."""
    settings, searched = set(method.settings), set(method.search)
    _check(searched <= settings, method, f"SEARCH names no setting: {method.search}")
    strange = (set(method.grid) - searched) | (set(method.search_if) - settings)
    _check(
        not strange,
        method,
        f"GRID or SEARCH_IF names what is no setting, or not searched: {strange}",
    )
    for name, preset in method.presets.items():
        known = set(preset) <= settings
        _check(known, method, f"the preset '{name}' names no setting: {preset}")


def _check_unknown_refused(method: MethodInfo) -> None:
    try:
        bind(method, ["no_such_setting=1"])
    except BenchError:
        return
    raise AssertionError(f"{method.name}: an unknown setting was not refused")


def _check_signatures(method: MethodInfo) -> None:
    """Check that `fit` or `transform`, and `prepare`, take what the source says."""
    module = method.module()
    function = module.transform if method.step else module.fit
    first = ["model", "task", "split", "kit"] if method.step else ["task", "split", "kit"]
    parameters = inspect.signature(function).parameters
    taken_first = list(parameters)[: len(first)]
    _check(taken_first == first, method, f"it takes {taken_first} first")
    prepared = inspect.signature(module.prepare).parameters if method.prepare_settings else {}
    defaults = {
        name: parameter.default
        for name, parameter in {**prepared, **parameters}.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    _check(
        defaults == method.settings,
        method,
        f"it has the defaults {defaults}, its source says {method.settings}",
    )


def _check_check(method: MethodInfo) -> None:
    """Check that a method's own `check` takes all its settings but `teacher`."""
    given = {name: value for name, value in method.settings.items() if name != "teacher"}
    try:
        inspect.signature(method.module().check).bind(None, None, None, **given)
    except TypeError as error:
        raise AssertionError(
            f"{method.name}: check(task, student, teacher, **settings): {error}"
        ) from error


def check_runs(
    method: MethodInfo,
    model_folder: Path,
    kind: Kind,
    artifacts: Artifacts,
    inputs: Settings | None = None,
) -> None:
    """Check that a run succeeds, changes no argument, and gives the same when repeated.

    Batches of two examples and three classes: some label is missing from each.
    """
    settings = dict(inputs or {}) | ({"batch_size": 2} if "batch_size" in method.settings else {})
    job = toy_job(method, model_folder, toy_task(kind), settings=settings)
    given = copy.deepcopy((job.task, job.split, job.protocol))
    first, predictions = run_job(job, artifacts)
    _check(first.status == "ok", method, f"a run on a {kind} task failed: {first.error}")
    _check(
        given == (job.task, job.split, job.protocol),
        method,
        f"fit changed the task, split or protocol ({kind})",
    )
    assert predictions is not None
    columns = {"probabilities": (3,), "values": (), "spans": (2,)}[job.task.answer_kind]
    shape = (len(job.split.test), *columns)
    _check(
        predictions.array.shape == shape,
        method,
        f"predictions of shape {predictions.array.shape}, not {shape}",
    )
    _check(
        bool(np.isfinite(predictions.array).all()),
        method,
        f"predictions that are not finite ({kind})",
    )
    _check(
        predictions.ids == tuple(e.id for e in job.split.test), method, f"ids out of order ({kind})"
    )
    if predictions.probabilities is not None:
        sums = predictions.array.sum(axis=1)
        _check(
            np.allclose(sums, 1, atol=1e-4), method, f"probabilities that add up to {sums} ({kind})"
        )
    second, again = run_job(job, artifacts)
    assert again is not None
    _check(
        np.array_equal(predictions.array, again.array),
        method,
        f"the same seed gave other predictions ({kind})",
    )
    _check(untimed(first) == untimed(second), method, f"the same seed gave another record ({kind})")


def check_preset(
    method: MethodInfo,
    model_folder: Path,
    preset: str,
    artifacts: Artifacts,
    inputs: Settings | None = None,
) -> None:
    """Check that a run with a preset succeeds, unless the method refuses what there is to try it.

    That may be such a small model, or the demo's rows.
    """
    settings = {**(inputs or {}), **method.presets[preset]}
    job = toy_job(method, model_folder, toy_task(taken(method)[0]), settings=settings)
    if is_refused(job, Models(torch.device("cpu"))):
        return
    record, _ = run_job(job, artifacts)
    _check(record.status == "ok", method, f"a run of the preset '{preset}' failed: {record.error}")


def check_predictor(
    method: MethodInfo,
    model_folder: Path,
    kind: Kind,
    artifacts: Artifacts,
    inputs: Settings | None = None,
) -> None:
    """Check that predictions read no label and depend on their example alone; keep the model."""
    job = toy_job(method, model_folder, toy_task(kind), settings=inputs)
    models = Models(torch.device("cpu"))
    _build_needs(job, models, artifacts)
    refs = (job.run.student, job.run.teacher, job.run.corpus)
    kit = FitContext(job.task, job.split, job.protocol, 1, models, *refs, job.supplies, artifacts)
    torch.manual_seed(1)
    predictor = fit(method, job.task, job.split, kit, {**job.run.settings, **job.trials[0]})
    bare = [example.without_label() for example in job.split.dev]
    array = predictor.predict(bare).array
    for name, examples in {
        "dev": job.split.dev,
        "wrong": [replace(e, label=0) for e in bare],
    }.items():
        same = np.array_equal(predictor.predict(examples).array, array)
        _check(same, method, f"predictions that change with the {name} labels ({kind})")
    for order in (np.arange(len(bare))[::-1], np.random.RandomState(1).permutation(len(bare))):
        turned = predictor.predict([bare[row] for row in order])
        _check(
            turned.ids == tuple(bare[row].id for row in order), method, f"ids out of order ({kind})"
        )
        same = np.allclose(turned.array, array[order], atol=1e-5)
        _check(same, method, f"predictions that depend on the order ({kind})")
    alone = np.concatenate([predictor.predict([example]).array for example in bare])
    _check(
        np.allclose(alone, array, atol=1e-5),
        method,
        f"predictions that depend on the batch ({kind})",
    )
    if isinstance(predictor, TaskModel):
        ref = predictor.backbone.ref
        read = unpack(
            *pack(predictor, job.method.sources), job.task, ref, models, job.method.sources
        )
        # Weights that lie elsewhere in memory may be multiplied in another order: not always the
        # same bits.
        same = np.allclose(read.predict(bare).array, array, atol=1e-6)
        _check(same, method, f"a kept model that predicts otherwise ({kind})")


def check_failure(
    method: MethodInfo,
    model_folder: Path,
    artifacts: Artifacts,
    inputs: Settings | None = None,
) -> None:
    """Check that a run whose `fit` raises becomes a record that says why."""
    settings = {**(inputs or {}), "no_such_setting": 1}
    job = toy_job(method, model_folder, toy_task(taken(method)[0]), settings=settings)
    record, predictions = run_job(job, artifacts)
    _check(
        record.status == "failed" and predictions is None,
        method,
        "a run with an unknown setting succeeded",
    )
    _check(
        "no_such_setting" in (record.error or ""),
        method,
        f"a failure without its reason: {record.error}",
    )


def untimed(record: Record) -> Record:
    """Return a record less what may differ when its run is done again."""
    return replace(record, timing=RunTiming(), environment=Environment())


def _check(holds: bool, method: MethodInfo, problem: str) -> None:
    if not holds:
        raise AssertionError(f"{method.name}: {problem}")
