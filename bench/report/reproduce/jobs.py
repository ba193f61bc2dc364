"""Plan the runs of a table's cells as `bench run` would, and drop those that cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

from fewbench.data.corpora import corpus_ref
from fewbench.data.train_size import parse_k
from fewbench.errors import BenchError, DataError, NeedsNetwork
from fewbench.registry.pretrained import find_model
from fewbench.registry.settings import choose_methods
from fewbench.report.reproduce.cells import CellRuns, StandIns, TablePlan
from fewbench.runner.jobs import Job, Plan
from fewbench.runner.plan import STUDENT, TEACHER, Request, make_plan
from fewbench.store.store import Store


class PlannedTable(NamedTuple):
    """A table, the jobs of its runs, and one plan that holds each job once.

    `errors` are those of the runs that were dropped.
    """

    table: TablePlan
    jobs: Mapping[CellRuns, tuple[Job, ...]]
    plan: Plan
    errors: Mapping[CellRuns, BenchError]

    @property
    def seeds(self) -> Mapping[CellRuns, tuple[int, ...]]:
        """The split seeds of each of its runs."""
        seed = attrgetter("run.seed")
        return {runs: tuple(map(seed, jobs)) for runs, jobs in self.jobs.items()}

    def without(self, refused: Mapping[str, BenchError]) -> PlannedTable:
        """Return it without the runs of refused jobs, by their keys."""
        errors: dict[CellRuns, BenchError] = {}
        for runs, some in self.jobs.items():
            for job in some:
                if job.key in refused:
                    errors.setdefault(runs, refused[job.key])
        jobs = {runs: some for runs, some in self.jobs.items() if runs not in errors}
        return PlannedTable(
            self.table.refusing(_reasons(errors)),
            jobs,
            replace(self.plan, jobs=_each_once(jobs)),
            {**self.errors, **errors},
        )


def stand_ins(student: str | None, teacher: str | None) -> StandIns:
    """Return the models that were named, or the embedded ones where `bench run` has these."""
    return StandIns(student or STUDENT, teacher or ("" if student else TEACHER))


def plan_jobs(
    table: TablePlan,
    request: Request,
    store: Store,
    notify: Callable[[str], None] = lambda text: None,
) -> PlannedTable:
    """Plan the runs of a table; those that cannot be had become reasons in its cells.

    Args:
        table: its cells, planned.
        request: everything but methods, tasks, K, prompts, protocols and models.
        store: where records are looked up.
        notify: is called with the name of each task before its rows are read.

    Raises:
        BenchError: a model or a corpus that is not there.
    """
    _check_common(table, request)
    jobs: dict[CellRuns, tuple[Job, ...]] = {}
    errors: dict[CellRuns, BenchError] = {}
    plans: list[Plan] = []
    for group in _alike(table.runs):
        for runs, result in _planned(group, request, store, notify):
            if isinstance(result, BenchError):
                errors |= dict.fromkeys(runs, result)
            else:
                plans.append(result)
                jobs |= {run: _jobs_of(run, result) for run in runs}
    records = {key: record for plan in plans for key, record in plan.records.items()}
    joined = Plan(_each_once(jobs), records, store.artifacts)
    return PlannedTable(table.refusing(_reasons(errors)), jobs, joined, errors)


def _check_common(table: TablePlan, request: Request) -> None:
    """Refuse what would be missing from every run."""
    for name in filter(None, table.models):
        find_model(name, offline=request.offline)
    if request.corpus is not None:
        corpus_ref(request.corpus, request.data)


def _reasons(errors: Mapping[CellRuns, BenchError]) -> dict[CellRuns, str]:
    return {runs: error.problem for runs, error in errors.items()}


def _each_once(jobs: Mapping[CellRuns, Sequence[Job]]) -> tuple[Job, ...]:
    return tuple({job.key: job for some in jobs.values() for job in some}.values())


def _alike(runs: Iterable[CellRuns]) -> list[list[CellRuns]]:
    """Group runs that differ in their methods alone: the rows of their task are read once."""
    groups: dict[CellRuns, list[CellRuns]] = {}
    for run in runs:
        groups.setdefault(run._replace(method=""), []).append(run)
    return list(groups.values())


def _planned(
    runs: Sequence[CellRuns], request: Request, store: Store, notify: Callable[[str], None]
) -> Iterator[tuple[Sequence[CellRuns], Plan | BenchError]]:
    """Plan runs together, or one by one where that is refused; yield a plan or the error."""
    try:
        plan = make_plan(_request_of(runs, request), store, notify)
    except BenchError as error:
        of_all = isinstance(error, (DataError, NeedsNetwork))
        if of_all or len(runs) == 1:
            yield runs, error
            return
    else:
        yield runs, plan
        return
    for run in runs:
        yield from _planned([run], request, store, notify)


def _request_of(runs: Sequence[CellRuns], request: Request) -> Request:
    """Return the request for some runs that differ in their methods alone."""
    run = runs[0]
    return replace(
        request,
        methods=tuple(other.method for other in runs),
        tasks=(run.task.partition("+")[0],),
        k=(parse_k(run.k),) if run.k else None,
        protocol=run.protocol,
        templates=(run.template,) if run.template else (),
        student=run.student or request.student,
        teacher=run.teacher or None,
    )


def _jobs_of(runs: CellRuns, plan: Plan) -> tuple[Job, ...]:
    """Return the jobs of one method in a plan of several."""
    (choice,) = choose_methods([runs.method])
    wanted = choice.method.name, choice.settings
    return tuple(job for job in plan.jobs if (job.run.method, job.run.settings) == wanted)
