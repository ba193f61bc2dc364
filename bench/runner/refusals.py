"""Leaves out of a plan what methods refuse themselves: where nobody named the method, that is no error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fewbench.errors import BenchError
from fewbench.jobs import Job, Plan


def without_refused(plan: Plan, todo: Sequence[Job]) -> Plan:
    """Return the plan less the runs to do whose method came with `all` and refuses its models, and why.

    A method that was named is asked before its runs are carried out (`fewbench.runner.local`), and refuses by an error.

    Raises:
        BenchError: everything is refused.
    """
    asked = [job for job in todo if job.key in plan.unnamed and job.method.checks]
    if not asked:
        return plan
    import torch

    from fewbench.parts.kit import Models
    from fewbench.runner.local import ask_method

    models = Models(torch.device("cpu"))
    answers: dict[tuple[str, str], BenchError | None] = {}
    for job in asked:
        if _asked(job) in answers:
            continue
        try:
            ask_method(job, models)
            answers[_asked(job)] = None
        except BenchError as error:
            answers[_asked(job)] = error
    refused = {job.key for job in asked if answers[_asked(job)]}
    kept = tuple(job for job in plan.jobs if job.key not in refused)
    errors = {f"method '{name}': {error.problem}": error for (name, _), error in answers.items() if error}
    if not kept:
        raise next(iter(errors.values()))
    return replace(plan, jobs=kept, left_out=(*plan.left_out, *errors))


def _asked(job: Job) -> tuple[str, str]:
    """Return what an answer depends on, within a plan of one student and one teacher; a method has its defaults."""
    return job.method.name, job.task.full_name
