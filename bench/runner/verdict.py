"""Make a run's record from its answer. The test labels are here, and no method ever runs here.

Only numbers and notes are taken from the process that ran the method. The dev scores, the choice
among the trials and the test scores are computed here from those numbers; the rest of the record
does not come from that process at all.
"""

from __future__ import annotations

from dataclasses import replace

from fewbench.data.metrics import OF_ONE_CLASS, score_on
from fewbench.data.split import LIMIT_SEED
from fewbench.errors import BenchError
from fewbench.registry.protocol import better
from fewbench.runner import channel
from fewbench.runner.environment import environment, now
from fewbench.runner.jobs import Job
from fewbench.runner.preflight import ErrorFields
from fewbench.store.parts import RunTiming, Selection, SplitFacts, Trial
from fewbench.store.record import Record
from fewbench.store.store import StoreFull
from fewbench.types import Json, Predictions, Task


def judge(job: Job, content: bytes, device: str, threads: int) -> tuple[Record, Predictions | None]:
    """Make the record of an answer, with the test predictions; a failure makes a failed record.

    Args:
        job: as planned, with its labels.
        content: the bytes of `fewbench.runner.run.attempt`, or any others that a method wrote.
        device: where it ran.
        threads: torch's.

    Raises:
        StoreFull: the disk was full, which is no failure of the run.
    """
    traceback = None
    try:
        report, arrays = channel.unpack(content)
        if report["status"] == "ok":
            return _succeeded(job, report, arrays, device, threads)
        _stop_if_disk(report)
        reason, traceback = str(report.get("reason")), _text(report.get("traceback"))
    except StoreFull:
        raise
    except BenchError as error:
        reason = str(error)
    except Exception as error:  # a method may have written these bytes
        reason = f"its answer cannot be read: {type(error).__name__}: {error}"
    return failure(job, reason, device, threads, traceback), None


def problem_of(content: bytes) -> str | None:
    """Return the reason for a failure in another process, or None if there was none.

    Raises:
        StoreFull: the disk was full, which is no failure of the work.
    """
    try:
        report, _ = channel.unpack(content)
        status, reason = report["status"], str(report.get("reason"))
    except (ValueError, KeyError) as error:
        return f"its answer cannot be read: {error}"
    _stop_if_disk(report)
    return None if status == "ok" else reason


def refusals_of(content: bytes, what: str, count: int) -> list[ErrorFields | None]:
    """Read the answers to some questions: the fields of an error, or None, for each of them.

    Args:
        content: the bytes that answer.
        what: names the questions in errors.
        count: how many there were.

    Raises:
        BenchError: these are no such answers.
        StoreFull: the disk was full.
    """
    problem = problem_of(content)
    refusals = None if problem else channel.unpack(content)[0].get("refusals")
    if not isinstance(refusals, list) or len(refusals) != count:
        raise BenchError(f"{what} broke down: {problem or 'its answer cannot be read'}")
    return refusals


def failure(
    job: Job, reason: str, device: str, threads: int, traceback: str | None = None
) -> Record:
    """Make the record of a failed run; its traceback starts at the frame of the method's author."""
    details = {} if traceback is None else {"traceback": traceback}
    return replace(_blank(job, device, threads), error=reason, details=details)


def _stop_if_disk(report: Json) -> None:
    if report.get("status") == "disk":
        raise StoreFull(
            f"nothing was stored of a run that was under way: {report.get('reason')}",
            fix="free some space, or --results on another disk, then the same command again: "
            "finished runs are kept",
        )


def _succeeded(
    job: Job, report: Json, arrays: channel.Arrays, device: str, threads: int
) -> tuple[Record, Predictions]:
    assert job.scorer is not None
    trials = _trials(job, report["trials"], arrays)
    metric = job.task.metric
    chosen, headline = -1, None
    for number, trial in enumerate(trials):
        if better(trial.dev[metric], headline, job.protocol.trial_tie):
            chosen, headline = number, trial.dev[metric]
    if chosen != report["chosen"]:
        raise BenchError(
            f"it tested trial {report['chosen']}, and by dev score trial {chosen} is the best",
            fix="leave the choice to the runner: fit() may not touch its scores",
        )
    test_arrays = channel.in_order(channel.part(arrays, "test"), job.scorer.order)
    predictions = channel.answers(job.task, job.split.test, test_arrays)
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
        details=dict(report["details"]) | _taught_by(job),
        timing=_timing(report["timing"]),
        warnings=tuple(dict.fromkeys(str(warning) for warning in report["warnings"])),
    )
    return record, predictions


def _scored_by(task: Task) -> Selection:
    """Return the headline metric, and the class it is of where it is of one class."""
    positive = task.positive if task.metric in OF_ONE_CLASS else None
    return Selection(metric=task.metric, positive=positive)


def _trials(job: Job, reported: list[Json], arrays: channel.Arrays) -> tuple[Trial, ...]:
    """Make the trial table; the dev scores are computed here."""
    planned = job.trials
    if len(reported) != len(planned):
        raise BenchError(f"it reports {len(reported)} trials, and {len(planned)} were asked for")
    table = []
    for number, (settings, trial) in enumerate(zip(planned, reported, strict=True)):
        answers = channel.answers(job.task, job.split.dev, channel.part(arrays, f"dev{number}"))
        row = Trial(
            settings={**job.run.settings, **settings},
            dev=score_on(job.task, job.split.dev, answers),
            seed=job.run.seed,
            step=None if trial["step"] is None else int(trial["step"]),
        )
        table.append(row)
    return tuple(table)


def _timing(reported: Json) -> RunTiming:
    """Return the times that the other process reports of itself."""
    return RunTiming(
        search_seconds=float(reported["search_seconds"]),
        search_processor_seconds=float(reported["search_processor_seconds"]),
        trial_seconds=tuple(float(seconds) for seconds in reported["trial_seconds"]),
        test_seconds=float(reported["test_seconds"]),
        total_seconds=float(reported["total_seconds"]),
        peak_memory_mib=float(reported["peak_memory_mib"]),
        finished=now(),
    )


def _blank(job: Job, device: str, threads: int) -> Record:
    """Make the record of a run of which nothing is known but what was planned."""
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
        timing=RunTiming(finished=now()),
        warnings=(),
        error=None,
        predictions=None,
    )


def _taught_by(job: Job) -> Json:
    """Return the run of the trained teacher and the code that it ran, which lead to its record."""
    if job.teacher is None:
        return {}
    return {"teacher": {"run": job.teacher.key, "code": job.teacher.method.code_hash()}}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
