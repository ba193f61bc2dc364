"""What is asked before anything runs: does each model fit its tasks, and does each method take its
models.

A method's `check` is its author's code, so it is asked in a process of its own, as its runs are: no
label is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fewbench.errors import BenchError, DataError, ModelError, NeedsNetwork, StoreDamaged
from fewbench.registry.pipeline import settings_of
from fewbench.runner.jobs import Job, Preparation, Work
from fewbench.store.cell import label

if TYPE_CHECKING:
    from fewbench.nn.fit_context import Models

OWN = "models"
"""Who asks whether models fit tasks: the harness itself, no method."""


class Check(NamedTuple):
    """One thing to ask: of a method its own check, of the harness whether a job's models fit its
    task.
    """

    asks: str
    work: Work


class Checks(NamedTuple):
    """All that is asked of one method, in order; it is answered in one process."""

    asks: str
    works: tuple[Work, ...]

    @property
    def title(self) -> str:
        """What a person would call it."""
        return f"the check of {self.asks}"


def checks_of(works: Iterable[Work]) -> list[Checks]:
    """Return all that is to be asked for some works, each thing once, by who asks."""
    found: dict[object, Check] = {}
    for work in works:
        for key, check in _asked(work):
            found.setdefault(key, check)
    grouped: dict[str, list[Work]] = {}
    for check in found.values():
        grouped.setdefault(check.asks, []).append(check.work)
    return [Checks(asks, tuple(group)) for asks, group in grouped.items()]


def own_checks(jobs: Iterable[Job]) -> list[Checks]:
    """Return what methods are asked for some jobs, less whether models fit tasks."""
    return [checks for checks in checks_of(jobs) if checks.asks != OWN]


def answer_checks(checks: Checks, models: Models) -> list[dict[str, Any] | None]:
    """Ask, and return for each work the error's fields, or None where nothing is refused."""
    return [_refusal(checks.asks, work, models) for work in checks.works]


def error_of(told: Mapping[str, Any]) -> BenchError:
    """Return the error that `answer_checks` told of."""
    kinds = {
        kind.__name__: kind
        for kind in (BenchError, DataError, ModelError, StoreDamaged, NeedsNetwork)
    }
    kind = kinds.get(str(told["kind"]), BenchError)
    texts = {name: told[name] and str(told[name]) for name in ("where", "allowed", "fix")}
    error = kind(str(told["problem"]), **texts)
    error.nearest = [str(name) for name in told["nearest"]]
    return error


def ask_method(job: Job, models: Models) -> None:
    """Let a method, and each step of a pipeline, hold its task, settings and models against each
    other.

    Raises:
        BenchError: what it refuses, or a check that breaks down.
    """
    student, teacher = (
        None if ref is None else models.pretrained(ref)
        for ref in (job.run.student, job.run.teacher)
    )
    for method in job.method.steps or (job.method,):
        if not method.checks:
            continue
        settings = {**method.settings, **settings_of(method, job.method, job.run.settings)}
        settings.pop(
            "teacher", None
        )  # who trains it; a check is given the teacher's model under this name
        try:
            method.module().check(job.task, student, teacher, **settings)
        except BenchError as error:
            error.where = (
                error.where or f"{label(job.method.name, job.run.settings)} on {job.task.full_name}"
            )
            raise
        except BaseException as error:  # sys.exit in a check is its author's mistake too
            raise _broken(
                f"the check of method '{method.name}'", str(method.file), error
            ) from error


def ask_preparation(preparation: Preparation, models: Models) -> None:
    """Let a method's `check_prepare` look at the corpus and the settings that it is to prepare
    something with.

    Raises:
        BenchError: what it refuses, or a check that breaks down.
    """
    from fewbench.runner.run import world_of

    method = preparation.method
    defaults = {name: method.settings[name] for name in method.prepare_settings}
    settings = {**defaults, **preparation.settings}
    try:
        method.module().check_prepare(preparation.kind, world_of(preparation, models), **settings)
    except BenchError as error:
        error.where = error.where or preparation.title
        raise
    except BaseException as error:
        raise _broken(
            f"the check of what '{method.name}' prepares", str(method.file), error
        ) from error


def check_models(job: Job, models: Models) -> None:
    """Load a job's models and hold its task against them.

    Raises:
        ModelError: a model that cannot be loaded whole.
        BenchError: a label word of several tokens, a template that the model cannot read, a task
            longer than its positions.
    """
    from fewbench.nn.kinds import prompt_model

    for ref in filter(None, (job.run.student, job.run.teacher)):
        backbone = models.pretrained(ref)
        if "words" in job.method.needs:
            prompt_model(backbone, job.task)
        if backbone.places < job.task.max_length:
            raise BenchError(
                f"{job.task.full_name} reads up to {job.task.max_length} tokens, and this model holds "
                f"{backbone.places}",
                where=f"{job.task.file} [{job.task.name}] max_length, and {ref.path}",
                fix="another model; cutting the texts shorter would be another task",
            )


def _asked(work: Work) -> Iterable[tuple[object, Check]]:
    """Yield what there is to ask for a work, each with what its answer depends on."""
    if isinstance(work, Preparation):
        if work.method.prepare_checks:
            yield work.key, Check(work.method.name, work)
        return
    run, method = work.run, work.method
    refs = (run.student, run.teacher)
    if any(refs):
        paths = tuple(ref and ref.path for ref in refs)
        yield (paths, work.task.full_name, "words" in method.needs), Check(OWN, work.named())
    if method.checks:
        own = (method.name, method.file, work.task.full_name, *refs, repr(run.settings))
        yield own, Check(method.name, work.named())


def _refusal(asks: str, work: Work, models: Models) -> dict[str, Any] | None:
    try:
        if isinstance(work, Preparation):
            ask_preparation(work, models)
        elif asks == OWN:
            check_models(work, models)
        else:
            ask_method(work, models)
    except BenchError as error:
        fields: Sequence[str] = ("problem", "where", "allowed", "nearest", "fix")
        return {"kind": type(error).__name__, **{name: getattr(error, name) for name in fields}}
    return None


def _broken(what: str, where: str, error: BaseException) -> BenchError:
    from fewbench.runner.faults import text_of

    return BenchError(f"{what} broke down: {type(error).__name__}: {text_of(error)}", where=where)
