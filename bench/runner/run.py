"""One run in this process: the trial search by dev score, then one look at the test inputs, then
bytes that tell of it.

No test label is here. `fewbench.runner.verdict` makes the record of the bytes, where the labels
are; `carry_out` does both in one process, for tests. The same job gives the same record, but for
timings, on the same device and threads.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fewbench.data.metrics import score
from fewbench.errors import BenchError
from fewbench.nn import serialize
from fewbench.nn.fit_context import FitContext, Models, PrepareContext
from fewbench.registry.protocol import better
from fewbench.runner import channel, steps
from fewbench.runner.environment import peak_memory_mib
from fewbench.runner.faults import disk_fault, reason, text_of, trace
from fewbench.runner.jobs import Job, Preparation
from fewbench.runner.verdict import judge
from fewbench.store.artifacts import Artifacts
from fewbench.store.record import Record
from fewbench.types import Example, Predictions, Predictor

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREPARED_WITH = 0
"""The seed of what is prepared once and shared by all split seeds."""


@dataclass
class Attempt:
    """A run as far as it has come: its trials, the best predictor so far, and the plain numbers it
    answered.
    """

    best: Predictor | None = None
    headline: float | None = None
    chosen: int = -1
    notes: dict[str, Any] = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=dict)


def carry_out(
    job: Job, models: Models, threads: int, artifacts: Artifacts | None = None
) -> tuple[Record, Predictions | None]:
    """Return the record of a job and its test predictions; a run that fails gives a record that
    says why.

    A model that is to be kept is stored with the artifacts, from where the run fetches what others
    built for it.

    Raises:
        StoreFull: the disk is full.
    """
    return judge(job, attempt(job.sent(), models, artifacts), str(models.device), threads)


def attempt(job: Job, models: Models, artifacts: Artifacts | None = None) -> bytes:
    """Carry out a job as it was sent, without labels, and return what there is to tell
    (`fewbench.runner.channel`).
    """
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            run = _search_and_test(job, models, artifacts)
            timing = {"total_seconds": _since(started), "peak_memory_mib": peak_memory_mib()}
            told = {
                "status": "ok",
                "chosen": run.chosen,
                "trials": run.trials,
                "details": run.notes | _details(run.best),
                "timing": run.timing | timing,
                "warnings": [text_of(warning.message).split("\n")[0] for warning in caught],
            }
            content = channel.pack(told, run.arrays)
            if job.keep and artifacts is not None:
                packed = serialize.pack(run.best, job.method.sources)
        except (
            BaseException
        ) as error:  # whatever a method does wrong, sys.exit too, the other runs go on
            return failed(error)
    if job.keep and artifacts is not None:
        return _save(artifacts, job.model_key, *packed) or content
    return content


def failed(error: BaseException) -> bytes:
    """Return what there is to tell of an error that a method let out."""
    fault = disk_fault(error)
    told = {"status": "failed", "reason": reason(error), "traceback": trace(error)}
    return channel.pack(told if fault is None else {"status": "disk", "reason": fault}, {})


def prepare(preparation: Preparation, models: Models, artifacts: Artifacts) -> str | None:
    """Build what a method's runs share, and store it; return why it could not be built, or None.

    Raises:
        StoreUnwritable: it cannot be stored.
    """
    from fewbench.runner.verdict import problem_of

    return problem_of(build(preparation, models, artifacts))


def build(preparation: Preparation, models: Models, artifacts: Artifacts) -> bytes:
    """Build and store what a method's runs share, and return what there is to tell."""
    from safetensors.torch import save

    _seed_all(PREPARED_WITH)
    world = world_of(preparation, models)
    clock = time.perf_counter()
    try:
        tensors = preparation.method.module().prepare(
            preparation.kind, world, **preparation.settings
        )
        content = save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        )
        manifest = {"title": preparation.title, "seconds": _since(clock), **world.notes}
        done = channel.pack({"status": "ok", "manifest": manifest}, {})
    except (
        BaseException
    ) as error:  # as above: the runs that need it fail with this reason, and the others go on
        return failed(error)
    return _save(artifacts, preparation.key, manifest, content) or done


def world_of(preparation: Preparation, models: Models) -> PrepareContext:
    """Return what a method's `prepare` is handed."""
    refs = (preparation.student, preparation.teacher, preparation.corpus)
    return PrepareContext(models, preparation.protocol, PREPARED_WITH, *refs)


def _save(
    artifacts: Artifacts, key: str, manifest: Mapping[str, Any], content: bytes
) -> bytes | None:
    """Store an artifact; return what to tell if it cannot be, which is no method's failure."""
    try:
        artifacts.save(key, manifest, content)
    except (BenchError, OSError) as error:
        return channel.pack({"status": "disk", "reason": disk_fault(error) or text_of(error)}, {})
    return None


def _search_and_test(job: Job, models: Models, artifacts: Artifacts | None) -> Attempt:
    run = Attempt()
    clock = time.perf_counter()
    for settings in job.trials:
        _trial(job, settings, models, artifacts, run)
    run.timing["search_seconds"] = _since(clock)
    run.timing["trial_seconds"] = [trial.pop("seconds") for trial in run.trials]
    assert run.best is not None
    clock = time.perf_counter()
    _ask(job, run, "test", run.best, job.split.test)
    run.timing["test_seconds"] = _since(clock)
    return run


def _trial(
    job: Job, settings: Mapping[str, Any], models: Models, artifacts: Artifacts | None, run: Attempt
) -> None:
    """Fit once and score on dev; the training seed is the split seed (LM-BFF)."""
    seed = job.run.seed
    _seed_all(seed)
    refs = (job.run.student, job.run.teacher, job.run.corpus)
    kit = FitContext(
        job.task, job.split, job.protocol, seed, models, *refs, job.supplies, artifacts
    )
    clock = time.perf_counter()
    predictor = steps.fit(job.method, job.task, job.split, kit, {**job.run.settings, **settings})
    bare = [example.without_label() for example in job.split.dev]
    predictions = _ask(job, run, f"dev{len(run.trials)}", predictor, bare)
    labels = [example.label for example in job.split.dev if example.label is not None]
    headline = score(job.task, labels, predictions)[job.task.metric]
    if better(headline, run.headline, job.protocol.trial_tie):
        run.best, run.headline, run.chosen, run.notes = (
            predictor,
            headline,
            len(run.trials),
            kit.notes,
        )
    run.trials.append({"step": kit.notes.get("best_step"), "seconds": _since(clock)})


def _ask(
    job: Job,
    run: Attempt,
    part: str,
    predictor: Predictor,
    examples: list[Example] | tuple[Example, ...],
) -> Predictions:
    """Note a copy of the numbers that a predictor answers, and return them as they are read at the
    other end.
    """
    arrays = channel.numbers(job.task, examples, predictor.predict(examples))
    run.arrays |= channel.named(part, arrays)
    return channel.answers(job.task, examples, arrays)


def _seed_all(seed: int) -> None:
    """Seed every generator that a method may draw from without asking: torch's, NumPy's, Python's."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def _since(clock: float) -> float:
    return round(time.perf_counter() - clock, 3)


def _details(predictor: Predictor | None) -> dict[str, Any]:
    """Return what a predictor tells of itself: label words, inputs cut to fit."""
    describe = getattr(predictor, "describe", None)
    return dict(describe()) if describe else {}
