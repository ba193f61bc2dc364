"""What becomes of a run's answer: its record. This is where the test labels are, and no method ever
runs here.

Of what the other process answered, only numbers and notes are taken. The dev scores, the choice
among the trials and the test scores are computed here, from those numbers; the rest of the record
is of this process's own knowledge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fewbench.data.metrics import OF_ONE_CLASS, score
from fewbench.data.split import LIMIT_SEED
from fewbench.errors import BenchError
from fewbench.registry.protocol import better
from fewbench.runner import channel
from fewbench.runner.environment import environment
from fewbench.runner.jobs import Job
from fewbench.runner.preflight import ErrorFields
from fewbench.store.parts import RunTiming, Selection, SplitFacts, Trial
from fewbench.store.record import Record
from fewbench.store.store import StoreFull
from fewbench.types import Predictions, Task


def judge(job: Job, content: bytes, device: str, threads: int) -> tuple[Record, Predictions | None]:
    """Return the record that an answer makes, and the test predictions; an answer of a failure
    makes a failed one.

    Args:
        job: as planned, with its labels.
        content: what `fewbench.runner.run.attempt` returned, or bytes that a method put in its
            place.
        device: where it ran.
        threads: torch's.

    Raises:
        StoreFull: no run failed, but the disk was full.
    """
    try:
        told, arrays = channel.unpack(content)
        if told["status"] == "ok":
            return _succeeded(job, told, arrays, device, threads)
    except BenchError as error:
        return failure(job, str(error), device, threads), None
    except Exception as error:  # the bytes may be anybody's
        return failure(
            job, f"its answer cannot be read: {type(error).__name__}: {error}", device, threads
        ), None
    _stop_if_disk(told)
    return failure(
        job, str(told.get("reason")), device, threads, _text(told.get("traceback"))
    ), None


def problem_of(content: bytes) -> str | None:
    """Return why what was asked for in another process failed, or None.

    Raises:
        StoreFull: it did not fail, but the disk was full.
    """
    try:
        told, _ = channel.unpack(content)
        status, why = told["status"], str(told.get("reason"))
    except (ValueError, KeyError) as error:
        return f"its answer cannot be read: {error}"
    _stop_if_disk(told)
    return None if status == "ok" else why


def refusals_of(content: bytes, what: str, count: int) -> list[ErrorFields | None]:
    """Read the answers to some questions: the fields of an error, or None, for each of them.

    Raises:
        BenchError: the answer says nothing of the kind.
        StoreFull: the disk was full.
    """
    why = problem_of(content)
    told = None if why else channel.unpack(content)[0].get("refusals")
    if not isinstance(told, list) or len(told) != count:
        raise BenchError(f"{what} broke down: {why or 'its answer cannot be read'}")
    return told


def failure(
    job: Job, reason: str, device: str, threads: int, traceback: str | None = None
) -> Record:
    """Return the record of a run that failed, with its reason, and the traceback from the author's
    own frame on.
    """
    details = {} if traceback is None else {"traceback": traceback}
    return replace(_blank(job, device, threads), error=reason, details=details)


def _stop_if_disk(told: Mapping[str, Any]) -> None:
    if told.get("status") == "disk":
        raise StoreFull(
            f"nothing was stored of a run that was under way: {told.get('reason')}",
            fix="free some space, or --results on another disk, then the same command again: finished runs are kept",
        )


def _succeeded(
    job: Job, told: Mapping[str, Any], arrays: channel.Arrays, device: str, threads: int
) -> tuple[Record, Predictions]:
    assert job.scorer is not None
    trials = _trials(job, told, arrays)
    metric = job.task.metric
    chosen, headline = -1, None
    for number, trial in enumerate(trials):
        if better(trial.dev[metric], headline, job.protocol.trial_tie):
            chosen, headline = number, trial.dev[metric]
    if chosen != told["chosen"]:
        raise BenchError(
            f"it tested trial {told['chosen']}, and by the dev answers trial {chosen} is the best",
            fix="leave the choice to the runner: fit() may not touch its scores",
        )
    asked = channel.in_order(channel.part(arrays, "test"), job.scorer.order)
    predictions = channel.answers(job.task, job.split.test, asked)
    selection = replace(
        _scored_by(job.task),
        settings=trials[chosen].settings,
        trial=chosen,
        trials=trials,
        trial_tie=job.protocol.trial_tie,
        checkpoint_tie=job.protocol.checkpoint_tie,
        tied_best=sum(trial.dev[metric] == headline for trial in trials),
    )
    record = replace(
        _blank(job, device, threads),
        status="ok",
        scores={"dev": trials[chosen].dev, "test": job.scorer.score(predictions)},
        selection=selection,
        details=dict(told["details"]) | _taught_by(job),
        timing=_timing(told["timing"]),
        warnings=tuple(dict.fromkeys(str(warning) for warning in told["warnings"])),
    )
    return record, predictions


def _scored_by(task: Task) -> Selection:
    """Return the headline metric, and the class it is of where it is of one class."""
    positive = task.positive if task.metric in OF_ONE_CLASS else None
    return Selection(metric=task.metric, positive=positive)


def _trials(job: Job, told: Mapping[str, Any], arrays: channel.Arrays) -> tuple[Trial, ...]:
    """Return the trial table, its dev scores computed here."""
    planned = job.trials
    if len(told["trials"]) != len(planned):
        raise BenchError(
            f"it tells of {len(told['trials'])} trials, and {len(planned)} were asked for"
        )
    labels = [example.label for example in job.split.dev if example.label is not None]
    table = []
    for number, (settings, trial) in enumerate(zip(planned, told["trials"], strict=True)):
        answers = channel.answers(job.task, job.split.dev, channel.part(arrays, f"dev{number}"))
        row = Trial(
            settings={**job.run.settings, **settings},
            dev=score(job.task, labels, answers),
            seed=job.run.seed,
            step=None if trial["step"] is None else int(trial["step"]),
        )
        table.append(row)
    return tuple(table)


def _timing(told: Mapping[str, Any]) -> RunTiming:
    """Return the times that the other process took of itself: they are its own word, and no score."""
    return RunTiming(
        search_seconds=float(told["search_seconds"]),
        trial_seconds=tuple(float(seconds) for seconds in told["trial_seconds"]),
        test_seconds=float(told["test_seconds"]),
        total_seconds=float(told["total_seconds"]),
        peak_memory_mib=float(told["peak_memory_mib"]),
    )


def _blank(job: Job, device: str, threads: int) -> Record:
    split = job.split
    return Record(
        run=job.run,
        status="failed",
        scores={},
        selection=_scored_by(job.task),
        split=SplitFacts(
            n_train=len(split.train),
            n_dev=len(split.dev),
            n_test=len(split.test),
            leaks=dict(split.leaks),
            drawn_of=split.drawn_of or None,
            draw_seed=LIMIT_SEED if split.drawn_of else None,
            dropped=split.dropped if job.run.drop_leaks else None,
            whole_test_fingerprint=split.whole_fingerprint if job.run.drop_leaks else None,
        ),
        details={},
        method_code=job.method.code_hash(),
        environment=environment(device, threads),
        timing=RunTiming(),
        warnings=(),
        error=None,
        predictions=None,
    )


def _taught_by(job: Job) -> dict[str, Any]:
    """Return what leads to the trained teacher's record and predictions: its run and the code that
    it ran.
    """
    return (
        {"teacher": {"run": job.teacher.key, "code": job.teacher.method.code_hash()}}
        if job.teacher
        else {}
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
