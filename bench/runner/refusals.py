"""Ask once, before anything runs, what only code can tell: what models and methods refuse.

A method's check is its author's code, so it is asked in a process of its own, as its runs are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.runner.answers import Answer, Answers
from fewbench.runner.jobs import Job, Plan, Work
from fewbench.runner.preflight import (
    MODELS,
    Check,
    CheckBroke,
    checks_of,
    error_of,
    grouped,
    questions_of,
)
from fewbench.runner.processes import WorkConditions, each
from fewbench.runner.verdict import refusals_of

Variant = tuple[str, str]
"""A method's and a task's name: a method's answer is the same for all K and seeds of them."""


class Refusal(NamedTuple):
    """A question, and the error that is its answer."""

    check: Check
    error: BenchError


def settle(plan: Plan, todo: Sequence[Job], workers: int = 1) -> Plan:
    """Ask whether models and methods take the runs to do, and leave out what may be left out.

    A run whose method came with `all` is left out where the method itself refuses it.

    Args:
        plan: of all runs.
        todo: those that will be carried out.
        workers: processes at a time.

    Raises:
        BenchError: anything else that is refused; or nothing is left.
    """
    works = [work for stage in plan.stages(todo) for work in stage]
    errors: dict[Variant, BenchError] = {}
    for refusal in refused(works, workers):
        job = _omittable(refusal, plan)
        if job is None:
            raise refusal.error
        errors.setdefault(_variant(job), refusal.error)
    return _without(plan, todo, errors) if errors else plan


def _omittable(refusal: Refusal, plan: Plan) -> Job | None:
    """Return a refusal's job if it may be left out: its method refuses, and nobody named it."""
    asks, work = refusal.check
    if asks == MODELS or not isinstance(work, Job):
        return None
    return work if work.key in plan.unnamed else None


def _without(plan: Plan, todo: Sequence[Job], errors: Mapping[Variant, BenchError]) -> Plan:
    """Leave runs to do out of a plan, and say why.

    Raises:
        BenchError: nothing is left, or the trained teacher of a run that is left is among them.
    """
    omitted = plan.unnamed & {job.key for job in todo if _variant(job) in errors}
    jobs = tuple(job for job in plan.jobs if job.key not in omitted)
    teachers = {job.teacher.key for job in jobs if job.teacher is not None}
    if not jobs or teachers & omitted:
        raise next(iter(errors.values()))
    reasons = {f"method '{method}': {errors[method, task].problem}": "" for method, task in errors}
    return replace(plan, jobs=jobs, left_out=(*plan.left_out, *reasons))


def refuse(works: Iterable[Work], workers: int = 1) -> None:
    """Refuse some works if models or methods do not take them.

    Raises:
        BenchError: what is refused first.
    """
    for refusal in refused(works, workers):
        raise refusal.error


def refused(works: Iterable[Work], workers: int = 1) -> list[Refusal]:
    """Ask all that there is to ask of some works, and return what is refused, in their order."""
    checks = checks_of(works)
    kept = Answers()
    answers = kept.find(checks)
    unknown = [check for check in checks if id(check) not in answers]
    found = {**answers, **_ask(unknown, workers, kept)}
    pairs = [(check, _error(found[id(check)])) for check in checks]
    return [Refusal(check, error) for check, error in pairs if error is not None]


def _ask(checks: Sequence[Check], workers: int, kept: Answers) -> dict[int, Answer | BenchError]:
    """Ask in processes of their own; return the answers, or deaths, by a question's identity."""
    found: dict[int, Answer | BenchError] = {}
    waiting = grouped(checks, together=True)
    while waiting:
        asked, waiting = waiting, []
        with closing(each(asked, WorkConditions(1), workers)) as ended:
            for group, end in ended:
                parts = grouped(group.questions)
                numbers = [id(check) for check in group.questions]
                if end.death is None:
                    answers = refusals_of(end.answer, group.title, len(numbers))
                    kept.keep(zip(group.questions, answers, strict=True))
                    found.update(zip(numbers, answers, strict=True))
                elif len(parts) > 1:
                    waiting += parts  # each alone: the death of one blames no other
                else:
                    death = CheckBroke(f"{group.title} broke down: {end.death}")
                    found.update(dict.fromkeys(numbers, death))
    return found


def _error(answer: Answer | BenchError) -> BenchError | None:
    return answer if answer is None or isinstance(answer, BenchError) else error_of(answer)


def refused_jobs(plan: Plan, todo: Sequence[Job], workers: int = 1) -> dict[str, BenchError]:
    """Return the runs to do that models or methods refuse, or whose teacher they do, by key.

    Args:
        plan: of all runs.
        todo: those that will be carried out.
        workers: processes at a time.
    """
    works = [work for stage in plan.stages(todo) for work in stage]
    errors = {_question(refusal.check): refusal.error for refusal in refused(works, workers)}
    jobs: dict[str, BenchError] = {}
    for job in todo:
        for work in _with_needed(job):
            for question, _ in questions_of(work):
                if question in errors:
                    jobs.setdefault(job.key, errors[question])
    return jobs


def _question(check: Check) -> object:
    """Return the key of a question: all that its answer depends on."""
    return next(key for key, other in questions_of(check.work) if other.asks == check.asks)


def _with_needed(job: Job) -> Iterator[Work]:
    """Yield a job after those that it needs."""
    if job.preparation is not None:
        yield job.preparation
    if job.teacher is not None:
        yield from _with_needed(job.teacher)
    yield job


def _variant(job: Job) -> Variant:
    """Identify a method's answer within a plan, which has one student and one teacher."""
    return job.method.name, job.task.full_name
