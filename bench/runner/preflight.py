"""The questions before anything runs: does a model fit its task, does a method take its models.

They are asked by `fewbench.runner.refusals`, and answered in a process that holds no label.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from fewbench.errors import BenchError, DataError, ModelError, NeedsNetwork, StoreDamaged
from fewbench.registry.methods import MethodInfo
from fewbench.registry.pipeline import settings_of
from fewbench.runner.jobs import Job, Preparation, Work
from fewbench.store.cell import label

if TYPE_CHECKING:
    from fewbench.nn.fit_context import Models

MODELS = "models"
"""What asks whether models fit tasks: the harness itself, and no method."""


class CheckBroke(BenchError):
    """A check ended otherwise than by an answer: its method's mistake, or a lack of memory."""


class Check(NamedTuple):
    """One question: a method's own check, or (`MODELS`) whether a job's models fit its task."""

    asks: str
    work: Work

    @property
    def is_ours(self) -> bool:
        """True if only code of this project answers it."""
        return self.asks == MODELS or _is_ours(self.work.method)


class Checks(NamedTuple):
    """Questions that one process answers, in order."""

    questions: tuple[Check, ...]

    @property
    def title(self) -> str:
        """The name to show a person."""
        return f"the check of {', '.join(dict.fromkeys(check.asks for check in self.questions))}"


def checks_of(works: Iterable[Work]) -> list[Check]:
    """List the questions that some works raise, each once."""
    checks: dict[object, Check] = {}
    for work in works:
        for key, check in questions_of(work):
            checks.setdefault(key, check)
    return list(checks.values())


def grouped(checks: Iterable[Check], *, together: bool = False) -> list[Checks]:
    """Group questions by what asks them; with `together`, all to this project are one group.

    To start a process for each of our own methods takes longer than their answers.
    """
    groups: dict[str, list[Check]] = {}
    for check in checks:
        asks = "" if together and check.is_ours else check.asks
        groups.setdefault(asks, []).append(check)
    return [Checks(tuple(group)) for group in groups.values()]


def answer_checks(checks: Checks, models: Models) -> list[ErrorFields | None]:
    """Answer questions: for each the fields of an error, or None where nothing is refused."""
    return [_refusal(check.asks, check.work, models) for check in checks.questions]


class ErrorFields(TypedDict):
    """A `BenchError` as it leaves the process that raised it."""

    kind: str
    problem: str
    where: str | None
    allowed: str | None
    nearest: list[str]
    fix: str | None


def error_of(fields: ErrorFields) -> BenchError:
    """Rebuild an error from its fields; any process may have made them, so nothing is trusted."""
    kinds = (BenchError, DataError, ModelError, StoreDamaged, NeedsNetwork, CheckBroke)
    by_name = {kind.__name__: kind for kind in kinds}
    error = by_name.get(str(fields["kind"]), BenchError)(
        str(fields["problem"]),
        where=_text(fields["where"]),
        allowed=_text(fields["allowed"]),
        fix=_text(fields["fix"]),
    )
    error.nearest = [str(name) for name in fields["nearest"]]
    return error


def ask_method(job: Job, models: Models) -> None:
    """Let a method, or each step of a pipeline, check its task, settings, models and split.

    Raises:
        BenchError: what it refuses, or a check that breaks down.
    """
    run = job.run
    student = None if run.student is None else models.pretrained(run.student)
    teacher = None if run.teacher is None else models.pretrained(run.teacher)
    for method in job.method.steps or (job.method,):
        settings = {**method.settings, **settings_of(method, job.method, run.settings)}
        settings.pop("teacher", None)  # its method's name; a check is given its model so
        try:
            if method.checks:
                method.module().check(job.task, student, teacher, **settings)
            if method.split_checks:
                method.module().check_split(job.split_sizes, **settings)
        except BenchError as error:
            run_name = f"{label(job.method.name, run.settings)} on {job.task.full_name}"
            error.where = error.where or run_name
            raise
        except BaseException as error:  # sys.exit in a check is its author's mistake too
            what = f"the check of method '{method.name}'"
            raise _broken(what, str(method.file), error) from error


def ask_preparation(preparation: Preparation, models: Models) -> None:
    """Let a method's `check_prepare` check the corpus and the settings of a preparation.

    Raises:
        BenchError: what it refuses, or a check that breaks down.
    """
    from fewbench.runner.run import context_of

    method = preparation.method
    defaults = {name: method.settings[name] for name in method.prepare_settings}
    settings = {**defaults, **preparation.settings}
    try:
        method.module().check_prepare(preparation.kind, context_of(preparation, models), **settings)
    except BenchError as error:
        error.where = error.where or preparation.title
        raise
    except BaseException as error:
        what = f"the check of what '{method.name}' prepares"
        raise _broken(what, str(method.file), error) from error


def is_refused(job: Job, models: Models) -> bool:
    """True if a method's own checks refuse a job, or what it prepares."""
    try:
        if job.method.checks:
            ask_method(job, models)
        if job.preparation is not None and job.method.prepare_checks:
            ask_preparation(job.preparation, models)
    except BenchError:
        return True
    return False


def check_models(job: Job, models: Models) -> None:
    """Load a job's models and check that its task fits them.

    Raises:
        ModelError: a model that cannot be loaded completely.
        BenchError: label words or a template that the model or the method cannot read, or a task
            with longer inputs than the model has positions.
    """
    from fewbench.nn.kinds import prompt_model
    from fewbench.nn.long_words import check_short, words_model

    task = job.task
    for ref in filter(None, (job.run.student, job.run.teacher)):
        backbone = models.pretrained(ref)
        if "template" in job.method.needs:
            backbone.check_head()
        if "long-words" in job.method.needs:
            words_model(backbone, task)
        elif "words" in job.method.needs:
            check_short(task, backbone.tokenizer, job.method.name)
            prompt_model(backbone, task)
        if backbone.places < task.max_length:
            raise BenchError(
                f"{task.full_name} reads up to {task.max_length} tokens, and this model holds "
                f"{backbone.places}",
                where=f"{task.file} [{task.name}] max_length, and {ref.path}",
                fix="another model; cutting the texts shorter would be another task",
            )


def questions_of(work: Work) -> Iterator[tuple[object, Check]]:
    """Yield the questions that a work raises, each with what its answer depends on."""
    if isinstance(work, Preparation):
        if work.method.prepare_checks:
            yield work.key, Check(work.method.name, work)
        return
    run, method = work.run, work.method
    refs = (run.student, run.teacher)
    if any(refs):
        paths = tuple(ref and ref.path for ref in refs)
        read = tuple(need in method.needs for need in ("words", "long-words", "template"))
        yield (paths, work.task.full_name, read), Check(MODELS, work.named())
    if method.checks or method.split_checks:
        sizes = work.split_sizes if method.split_checks else None
        key = (method.name, method.file, work.task.full_name, *refs, repr(run.settings), sizes)
        yield key, Check(method.name, work.named())


def _is_ours(method: MethodInfo) -> bool:
    """True if a method, or each of its steps, lies among those of this project."""
    spec = importlib.util.find_spec("fewbench.methods")
    places = {Path(place) for place in (spec and spec.submodule_search_locations) or ()}
    return all(places & {*step.file.parents} for step in method.steps or (method,))


def _refusal(asks: str, work: Work, models: Models) -> ErrorFields | None:
    try:
        if isinstance(work, Preparation):
            ask_preparation(work, models)
        elif asks == MODELS:
            check_models(work, models)
        else:
            ask_method(work, models)
    except BenchError as error:
        return ErrorFields(
            kind=type(error).__name__,
            problem=error.problem,
            where=error.where,
            allowed=_text(error.allowed),
            nearest=error.nearest,
            fix=error.fix,
        )
    return None


def _broken(what: str, where: str, error: BaseException) -> BenchError:
    from fewbench.runner.faults import text_of

    return CheckBroke(f"{what} broke down: {type(error).__name__}: {text_of(error)}", where=where)


def _text(value: object) -> str | None:
    return str(value) if value else None
