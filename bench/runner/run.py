"""Carry out one run in this process: search by dev score, predict the test inputs, report in bytes.

No test label is here: `fewbench.runner.verdict` makes the record of the bytes, in the process that
has the labels. `carry_out` does both in one process, for tests. The same job gives the same record
on the same device and threads, but for timings.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from fewbench.data.metrics import score_on
from fewbench.errors import BenchError
from fewbench.nn import serialize
from fewbench.nn.checkpoint import Checkpoints
from fewbench.nn.fit_context import Models, PrepareContext
from fewbench.nn.labelled_context import LabelledContext
from fewbench.registry.protocol import better
from fewbench.runner import channel, steps
from fewbench.runner.environment import checkpoint_seconds, peak_memory_mib
from fewbench.runner.faults import disk_fault, reason, text_of, trace
from fewbench.runner.jobs import Job, Preparation
from fewbench.runner.products import computing
from fewbench.runner.run_clock import RunClock, Spent
from fewbench.runner.verdict import judge
from fewbench.runner.watched import Tell, TrainingWatch, WatchedCheckpoints, WatchedFitContext
from fewbench.store.artifacts import Artifacts
from fewbench.store.record import Record
from fewbench.types import Example, Json, Predictions, Predictor, Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREPARED_WITH = 0
"""The seed of preparations, which the runs of all split seeds share."""


class TrialReport(NamedTuple):
    """One trial: the update of the checkpoint that was kept, if any, and the seconds it took."""

    step: int | None
    seconds: float


@dataclass
class Attempt:
    """The progress of a run: its trials, the best predictor so far, and the numbers predicted."""

    best: Predictor | None = None
    headline: float | None = None
    chosen: int = -1
    notes: Json = field(default_factory=dict)
    trials: list[TrialReport] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    timing: Json = field(default_factory=dict)
    clock: RunClock = field(default_factory=RunClock)


def carry_out(
    job: Job, models: Models, threads: int, artifacts: Artifacts | None = None
) -> tuple[Record, Predictions | None]:
    """Carry out a job, and return its record and test predictions; a failed run gives a record too.

    Artifacts hold what other works have built for the run, and the model that it is to keep.

    Raises:
        StoreFull: the disk is full.
    """
    return judge(job, attempt(job.sent(), models, artifacts), str(models.device), threads)


def attempt(
    job: Job, models: Models, artifacts: Artifacts | None = None, tell: Tell | None = None
) -> bytes:
    """Carry out a job as it was sent, without labels, and report in bytes (`runner.channel`).

    While it trains, `tell` is called with its progress.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with computing(job.run.arithmetic):
                run = _search_and_test(job, models, artifacts, TrainingWatch(tell, len(job.trials)))
            total = run.clock.spent().seconds
            timing = {"total_seconds": total, "peak_memory_mib": peak_memory_mib()}
            report = {
                "status": "ok",
                "chosen": run.chosen,
                "trials": [{"step": trial.step} for trial in run.trials],
                "details": run.notes | _details(run.best),
                "timing": run.timing | timing,
                "warnings": [text_of(warning.message).split("\n")[0] for warning in caught],
            }
            content = channel.pack(report, run.arrays)
            if job.keep and artifacts is not None:
                packed = serialize.pack(run.best, job.method.sources)
        except BaseException as error:  # the other runs go on, even after sys.exit in a method
            return failed(error)
    if job.keep and artifacts is not None:
        return _save(artifacts, job.model_key, *packed) or content
    return content


def failed(error: BaseException) -> bytes:
    """Report an error that a method has raised."""
    fault = disk_fault(error)
    if fault is not None:
        return channel.pack({"status": "disk", "reason": fault}, {})
    report = {"status": "failed", "reason": reason(error), "traceback": trace(error)}
    return channel.pack(report, {})


def prepare(preparation: Preparation, models: Models, artifacts: Artifacts) -> str | None:
    """Build and store what a method's runs share; return the reason if that fails, or None.

    Raises:
        StoreUnwritable: it cannot be stored.
    """
    from fewbench.runner.verdict import problem_of

    return problem_of(build(preparation, models, artifacts))


def build(preparation: Preparation, models: Models, artifacts: Artifacts) -> bytes:
    """Build and store what a method's runs share, and report in bytes."""
    from safetensors.torch import save

    _seed_all(PREPARED_WITH)
    context = context_of(preparation, models)
    clock = RunClock()
    try:
        module = preparation.method.module()
        with computing(preparation.arithmetic):
            tensors = module.prepare(preparation.kind, context, **preparation.settings)
        content = save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        )
        manifest = {"title": preparation.title, "seconds": clock.spent().seconds, **context.notes}
        done = channel.pack({"status": "ok", "manifest": manifest}, {})
    except BaseException as error:  # runs that need it fail with this reason; the others go on
        return failed(error)
    return _save(artifacts, preparation.key, manifest, content) or done


def context_of(preparation: Preparation, models: Models) -> PrepareContext:
    """Return the context that a method's `prepare` is called with."""
    refs = (preparation.student, preparation.teacher, preparation.corpus)
    given = (models, preparation.protocol, PREPARED_WITH, *refs)
    if preparation.labelled is None:
        return PrepareContext(*given)
    world = LabelledContext(*given)
    world.rows = preparation.labelled
    return world


def _save(artifacts: Artifacts, key: str, manifest: Settings, content: bytes) -> bytes | None:
    """Store an artifact; report where it cannot be written, which is no method's failure."""
    try:
        artifacts.save(key, manifest, content)
    except (BenchError, OSError) as error:
        return channel.pack({"status": "disk", "reason": disk_fault(error) or text_of(error)}, {})
    return None


def _search_and_test(
    job: Job, models: Models, artifacts: Artifacts | None, watch: TrainingWatch
) -> Attempt:
    run = Attempt()
    kept = _checkpoints(job, models, artifacts, watch, run.clock)
    for number in range(len(job.trials)):
        if kept is None or not _restore_trial(job, number, kept, run):
            _trial(job, number, models, artifacts, kept, watch, run)
    if run.best is None:  # the best trial had finished before the run was killed
        run.best, run.notes = _fit(job, run.chosen, models, artifacts, kept, watch)
        _predict(job, run, f"dev{run.chosen}", run.best, _unlabelled(job.split.dev))
    searched = run.clock.spent()
    run.timing["search_seconds"] = searched.seconds
    run.timing["search_processor_seconds"] = searched.processor
    run.timing["trial_seconds"] = [trial.seconds for trial in run.trials]
    _predict(job, run, "test", run.best, job.split.test)
    run.timing["test_seconds"] = _since(run.clock, searched)
    return run


def _checkpoints(
    job: Job, models: Models, artifacts: Artifacts | None, watch: TrainingWatch, clock: RunClock
) -> Checkpoints | None:
    """Return the place of a run's checkpoints, beside the artifacts."""
    if artifacts is None:
        return None
    every = checkpoint_seconds()
    return WatchedCheckpoints(
        artifacts.unfinished, job.model_key, models.device, every, watch, clock
    )


def _fit(
    job: Job,
    number: int,
    models: Models,
    artifacts: Artifacts | None,
    kept: Checkpoints | None,
    watch: TrainingWatch,
) -> tuple[Predictor, Json]:
    """Fit a trial; return its predictor and its notes. The split seed seeds it, too (LM-BFF)."""
    seed = job.run.seed
    _seed_all(seed)
    watch.begin_trial(number)
    if kept is not None:
        kept.begin_trial(number)
    refs = (job.run.student, job.run.teacher, job.run.corpus)
    kit = WatchedFitContext(
        job.task, job.split, job.protocol, seed, models, *refs, job.supplies, artifacts, kept
    )
    kit.watch = watch
    settings = {**job.run.settings, **job.trials[number]}
    return steps.fit(job.method, job.task, job.split, kit, settings), kit.notes


def _trial(
    job: Job,
    number: int,
    models: Models,
    artifacts: Artifacts | None,
    kept: Checkpoints | None,
    watch: TrainingWatch,
    run: Attempt,
) -> None:
    """Fit once and score on dev."""
    begun = run.clock.spent()
    predictor, notes = _fit(job, number, models, artifacts, kept, watch)
    _predict(job, run, f"dev{number}", predictor, _unlabelled(job.split.dev))
    _judge_trial(job, number, run, predictor, notes)
    run.trials.append(TrialReport(notes.get("best_step"), _since(run.clock, begun)))
    if kept is not None:
        _keep_trial(job, number, kept, run, notes)


def _judge_trial(
    job: Job, number: int, run: Attempt, predictor: Predictor | None, notes: Json
) -> None:
    """Score a trial's answers on dev, and choose it if it is the best so far."""
    arrays = channel.part(run.arrays, f"dev{number}")
    predictions = channel.answers(job.task, job.split.dev, arrays)
    headline = score_on(job.task, job.split.dev, predictions)[job.task.metric]
    if better(headline, run.headline, job.protocol.trial_tie):
        run.best, run.headline = predictor, headline
        run.chosen, run.notes = number, notes


def _keep_trial(job: Job, number: int, kept: Checkpoints, run: Attempt, notes: Json) -> None:
    """Keep the outcome of a long trial, and the weights of the best one alone."""
    import torch

    arrays = channel.part(run.arrays, f"dev{number}")
    facts = {"notes": notes, "seconds": run.trials[number].seconds}
    kept.write_trial(number, facts, {name: torch.tensor(array) for name, array in arrays.items()})
    for other in range(number + 1):
        if other != run.chosen:
            kept.drop_trainings(other)


def _restore_trial(job: Job, number: int, kept: Checkpoints, run: Attempt) -> bool:
    """Take up the outcome of a trial that had finished; False if there is none."""
    stored = kept.read_trial(number)
    if stored is None:
        return False
    notes = stored.facts["notes"]
    arrays = {name: tensor.numpy() for name, tensor in stored.tensors.items()}
    run.arrays |= channel.named(f"dev{number}", arrays)
    _judge_trial(job, number, run, None, notes)
    run.trials.append(TrialReport(notes.get("best_step"), stored.facts["seconds"]))
    return True


def _predict(
    job: Job, run: Attempt, part: str, predictor: Predictor, examples: Sequence[Example]
) -> Predictions:
    """Predict a part and keep a copy; return the numbers as the other process reads them."""
    arrays = channel.numbers(job.task, examples, predictor.predict(examples))
    run.arrays |= channel.named(part, arrays)
    return channel.answers(job.task, examples, arrays)


def _unlabelled(examples: Sequence[Example]) -> list[Example]:
    return [example.without_label() for example in examples]


def _seed_all(seed: int) -> None:
    """Seed the global generators, which a method may draw from: torch's, NumPy's and Python's."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def _since(clock: RunClock, before: Spent) -> float:
    return round(clock.spent().seconds - before.seconds, 3)


def _details(predictor: Predictor | None) -> Json:
    """Return a predictor's description of itself: its label words, for example."""
    describe = getattr(predictor, "describe", None)
    return dict(describe()) if describe else {}
