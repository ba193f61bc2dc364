"""Carries out one run: the trial search by dev score, then one look at the test inputs, then the record.

This function is idempotent: the same job gives the same record, but for timings, on the same device and threads.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fewbench.artifacts import Artifacts
from fewbench.errors import BenchError
from fewbench.jobs import Job, Preparation
from fewbench.metrics import OF_ONE_CLASS, score
from fewbench.options import only_present
from fewbench.parts import keep, steps
from fewbench.parts.kit import Kit, Models, World
from fewbench.protocol import better
from fewbench.record import Record
from fewbench.runner.environment import environment, peak_memory_mib
from fewbench.split import LIMIT_SEED
from fewbench.types import Predictions, Predictor, Task

PREPARED_WITH = 0
"""The seed of what is prepared once and shared by all split seeds."""


def carry_out(
    job: Job, models: Models, threads: int, artifacts: Artifacts | None = None
) -> tuple[Record, Predictions | None]:
    """Return the record of a job and its test predictions; a run that fails gives a record that says why.

    A model that is to be kept is stored with the artifacts, from where the run fetches what others built for it.
    """
    started = time.perf_counter()
    timing: dict[str, Any] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            outcome, predictions = _search_and_test(job, models, timing, artifacts)
        except Exception as error:  # whatever a method does wrong, the other runs go on
            return failure(job, _reason(error), str(models.device), threads), None
    timing |= {"total_seconds": round(time.perf_counter() - started, 3), "peak_memory_mib": peak_memory_mib()}
    record = replace(
        _blank(job, str(models.device), threads),
        **outcome,
        status="ok",
        timing=timing,
        warnings=tuple(dict.fromkeys(str(warning.message).split("\n")[0] for warning in caught)),
    )
    return record, predictions


def prepare(preparation: Preparation, models: Models, artifacts: Artifacts) -> str | None:
    """Build what a method's runs share, and store it; return why it could not be built, or None."""
    import torch
    from safetensors.torch import save

    torch.manual_seed(PREPARED_WITH)
    world = _world(preparation, models)
    clock = time.perf_counter()
    try:
        tensors = preparation.method.module().prepare(preparation.kind, world, **preparation.settings)
        content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    except Exception as error:  # as above: the runs that need it fail with this reason, and the others go on
        return _reason(error)
    seconds = round(time.perf_counter() - clock, 3)
    artifacts.save(preparation.key, {"title": preparation.title, "seconds": seconds, **world.notes}, content)
    return None


def ask_preparation(preparation: Preparation, models: Models) -> None:
    """Let a method's `check_prepare` look at the corpus and the settings that it is to prepare something with.

    Raises:
        BenchError: what it refuses, or a check that breaks down.
    """
    method = preparation.method
    defaults = {name: method.settings[name] for name in method.prepare_settings}
    try:
        method.module().check_prepare(
            preparation.kind, _world(preparation, models), **{**defaults, **preparation.settings}
        )
    except BenchError as error:
        error.where = error.where or preparation.title
        raise
    except Exception as error:
        problem = f"the check of what '{method.name}' prepares broke down: {type(error).__name__}: {error}"
        raise BenchError(problem, where=str(method.file)) from error


def _world(preparation: Preparation, models: Models) -> World:
    refs = (preparation.student, preparation.teacher, preparation.corpus)
    return World(models, preparation.protocol, PREPARED_WITH, *refs)


def failure(job: Job, reason: str, device: str, threads: int) -> Record:
    """Return the record of a run that failed, with its reason."""
    return replace(_blank(job, device, threads), error=reason)


def _blank(job: Job, device: str, threads: int) -> Record:
    split = job.split
    return Record(
        run=job.run,
        status="failed",
        scores={},
        selection={},
        split={
            "n_train": len(split.train),
            "n_dev": len(split.dev),
            "n_test": len(split.test),
            "leaks": dict(split.leaks),
            **_drawn(job),
            **_dropped(job),
        },
        details={},
        method_code=job.method.code_hash(),
        environment=environment(device, threads),
        timing={},
        warnings=(),
        error=None,
        predictions=None,
    )


def _drawn(job: Job) -> dict[str, Any]:
    """Return what a run on a draw of the test rows adds: from how many, and by which seed."""
    return {"drawn_of": job.split.drawn_of, "draw_seed": LIMIT_SEED} if job.split.drawn_of else {}


def _dropped(job: Job) -> dict[str, Any]:
    """Return what a run without leaked test rows adds: how many, and the test set they were taken from."""
    if not job.run.drop_leaks:
        return {}
    return {"dropped": job.split.dropped, "whole_test_fingerprint": job.split.whole_fingerprint}


def _search_and_test(
    job: Job, models: Models, timing: dict[str, Any], artifacts: Artifacts | None
) -> tuple[dict[str, Any], Predictions]:
    best: tuple[float, int, Predictor] | None = None
    trials: list[dict[str, Any]] = []
    clock = time.perf_counter()
    for settings in job.trials:
        predictor, trial = _trial(job, settings, models, artifacts)
        trials.append(trial)
        headline = trial["dev"][job.task.metric]
        if better(headline, best[0] if best else None, job.protocol.trial_tie):
            best = (headline, len(trials) - 1, predictor)
    timing["search_seconds"] = round(time.perf_counter() - clock, 3)
    timing["trial_seconds"] = [trial.pop("seconds") for trial in trials]
    assert best is not None
    clock = time.perf_counter()
    predictions = only_present(job.split.test, best[2].predict(job.split.test))
    timing["test_seconds"] = round(time.perf_counter() - clock, 3)
    if job.keep and artifacts is not None:
        artifacts.save(job.model_key, *keep.pack(best[2]))
    chosen = trials[best[1]]
    details = chosen.pop("notes")
    for trial in trials:
        trial.pop("notes", None)
    return {
        "scores": {"dev": chosen["dev"], "test": job.scorer.score(predictions)},
        "selection": {
            "metric": job.task.metric,
            **_positive(job.task),
            "settings": chosen["settings"],
            "trial": best[1],
            "trials": trials,
            "trial_tie": job.protocol.trial_tie,
            "checkpoint_tie": job.protocol.checkpoint_tie,
            "tied_best": sum(trial["dev"][job.task.metric] == best[0] for trial in trials),
        },
        "details": details | _details(best[2]) | _taught_by(job),
    }, predictions


def _positive(task: Task) -> dict[str, str]:
    """Return what a headline metric of one class adds: which."""
    return {"positive": task.positive} if task.metric in OF_ONE_CLASS and task.positive else {}


def _trial(
    job: Job, settings: Mapping[str, Any], models: Models, artifacts: Artifacts | None
) -> tuple[Predictor, dict[str, Any]]:
    """Fit once and score on dev; the training seed is the split seed (LM-BFF)."""
    import torch

    seed = job.run.seed
    torch.manual_seed(seed)
    run = job.run
    kit = Kit(
        job.task,
        job.split,
        job.protocol,
        seed,
        models,
        run.student,
        run.teacher,
        run.corpus,
        job.supplies,
        artifacts,
    )
    clock = time.perf_counter()
    predictor = steps.fit(job.method, job.task, job.split, kit, {**job.run.settings, **settings})
    labels = [example.label for example in job.split.dev if example.label is not None]
    bare = [example.without_label() for example in job.split.dev]
    dev = score(job.task, labels, only_present(bare, predictor.predict(bare)))
    return predictor, {
        "settings": {**job.run.settings, **settings},
        "seed": seed,
        "dev": dev,
        "step": kit.notes.get("best_step"),
        "seconds": round(time.perf_counter() - clock, 3),
        "notes": kit.notes,
    }


def _details(predictor: Predictor) -> dict[str, Any]:
    """Return what a predictor tells of itself: label words, inputs cut to fit."""
    describe = getattr(predictor, "describe", None)
    return dict(describe()) if describe else {}


def _taught_by(job: Job) -> dict[str, Any]:
    """Return what leads to the trained teacher's record and predictions: its run and the code that it ran."""
    return {"teacher": {"run": job.teacher.key, "code": job.teacher.method.code_hash()}} if job.teacher else {}


def _reason(error: Exception) -> str:
    if isinstance(error, BenchError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename.rpartition('/')[2]}, line {frame.lineno})"
