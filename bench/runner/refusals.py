"""Leaves out of a plan what methods refuse themselves: where nobody named the method, that is no
error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fewbench.errors import BenchError
from fewbench.runner.jobs import Job, Plan


def without_refused(plan: Plan, todo: Sequence[Job]) -> Plan:
    """Return the plan less the runs to do whose method came with `all` and refuses its models, and
    why.

    A method that was named is asked before its runs are carried out (`fewbench.runner.local`), and
    refuses by an error.

    Raises:
        BenchError: everything is refused.
    """
    asked = [job for job in todo if job.key in plan.unnamed and job.method.checks]
    if not asked:
        return plan
    from fewbench.runner.local import refused as ask
    from fewbench.runner.preflight import own_checks
    from fewbench.runner.processes import WorkConditions

    checks = own_checks(asked)
    jobs = [job for one in checks for job in one.works if isinstance(job, Job)]
    answers: dict[tuple[str, str], BenchError | None] = {}
    for job, error in zip(jobs, ask(checks, WorkConditions("cpu", 1), 1), strict=True):
        answers[_asked(job)] = answers.get(_asked(job)) or error
    refused = {job.key for job in asked if answers[_asked(job)]}
    kept = tuple(job for job in plan.jobs if job.key not in refused)
    errors = {
        f"method '{name}': {error.problem}": error for (name, _), error in answers.items() if error
    }
    if not kept:
        raise next(iter(errors.values()))
    return replace(plan, jobs=kept, left_out=(*plan.left_out, *errors))


def _asked(job: Job) -> tuple[str, str]:
    """Return what an answer depends on, within a plan of one student and one teacher; a method has
    its defaults.
    """
    return job.method.name, job.task.full_name
