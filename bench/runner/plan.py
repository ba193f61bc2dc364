"""The planner: which runs a request stands for, and which of them are stored already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from pathlib import Path

from fewbench.data.corpora import corpus_ref
from fewbench.data.kept_rows import as_kept
from fewbench.data.labelled import LabelledRows
from fewbench.data.metrics import Scorer, check_metrics
from fewbench.data.pool import with_pool
from fewbench.data.reader import read_rows
from fewbench.data.split import draw_test, make_split
from fewbench.data.task_prompts import OWN, with_prompt
from fewbench.data.train_size import is_full
from fewbench.errors import BenchError
from fewbench.io.checked_json import joint_hash
from fewbench.registry.arithmetic import arithmetic_of
from fewbench.registry.methods import MethodInfo
from fewbench.registry.needs import needing, rows_of
from fewbench.registry.pretrained import find_model
from fewbench.registry.protocol import Protocol
from fewbench.registry.protocols import FULL_PROTOCOL, check_fits, get_protocol
from fewbench.registry.settings import Chosen, choose_methods, methods_of
from fewbench.registry.tasks import choose_tasks
from fewbench.registry.teachers import lineage
from fewbench.runner.compatibility import match
from fewbench.runner.jobs import Job, Plan
from fewbench.runner.maker import JobData, JobMaker
from fewbench.store.inputs import exact_hash, row_hashes, task_hash
from fewbench.store.record import Record
from fewbench.store.store import Stamp, StampedRecord, Store
from fewbench.types import K, ModelRef, Task

STUDENT, TEACHER = "fewbench-micro", "fewbench-mini"
"""The embedded default backbones."""


def usual_protocol(tasks: Iterable[str], ks: Iterable[K] | None) -> str:
    """Return the protocol of a request that names none."""
    if any(is_full(k) for k in ks or ()):
        return FULL_PROTOCOL
    return "demo" if tuple(tasks) == ("demo",) else "quick"


@dataclass(frozen=True, slots=True)
class Request:
    """The request that `bench run` makes.

    None stands for the default; of K and seeds, that is the protocol's or the published folds'. The
    embedded teacher is the default for the embedded student alone.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    k: tuple[K, ...] | None = None
    seeds: tuple[int, ...] | None = None
    student: str = STUDENT
    teacher: str | None = None
    protocol: str = "quick"
    data: Path | None = None
    limit: int | None = None
    offline: bool = False
    templates: tuple[str, ...] = ()
    corpus: str | None = None
    drop_leaks: bool = False
    keep_models: bool = False
    metric_code: bool = False
    dtype: str = "float32"
    attention: str = "sdpa"


def make_plan(
    request: Request, store: Store, notify: Callable[[str], None] = lambda text: None
) -> Plan:
    """Plan a request.

    Every name, setting, K, file and model is checked here, before anything runs. A method that came
    with `all`, or a task that came with a suite, is left out where they do not go together.

    Args:
        request: what was asked for.
        store: where records are looked up.
        notify: is called with the name of each task before its rows are read.

    Raises:
        BenchError: anything asked for that cannot be had.
    """
    protocol = get_protocol(request.protocol)
    known = methods_of(request.methods)
    chosen = choose_methods(request.methods, known)
    tasks = [replace(task, metric_code=request.metric_code) for task in choose_tasks(request.tasks)]
    for task in tasks:
        check_metrics(task)
        _prompted(request, task)
    maker = _maker(request, protocol, known, chosen)
    matched = match(chosen, tasks, request.tasks, maker.models)
    jobs: dict[str, Job] = {}
    named: set[str] = set()
    for task, choices in matched.methods.items():
        if not choices:
            continue
        notify(f"reading {task.full_name}")
        for job, choice in _jobs_of_task(request, maker, task, choices):
            jobs.setdefault(job.key, job)
            if choice.named:
                named.add(job.key)
    stored = _stored(jobs.values(), store)
    return Plan(
        tuple(jobs.values()),
        {key: found.record for key, found in stored.items()},
        store.artifacts,
        matched.left_out,
        frozenset(jobs.keys() - named),
        {key: found.stamp for key, found in stored.items()},
    )


def joined(plans: Sequence[Plan]) -> Plan:
    """Return one plan of several requests, with each run once."""
    if len(plans) == 1:
        return plans[0]
    jobs: dict[str, Job] = {}
    records: dict[str, Record] = {}
    stamps: dict[str, Stamp] = {}
    named: set[str] = set()
    for plan in plans:
        of_plan = {job.key: job for job in plan.jobs}
        jobs.update(of_plan)
        records.update(plan.records)
        stamps.update(plan.stamps)
        named |= of_plan.keys() - plan.unnamed
    return Plan(
        tuple(jobs.values()),
        records,
        plans[0].artifacts,
        tuple(dict.fromkeys(chain.from_iterable(plan.left_out for plan in plans))),
        frozenset(jobs.keys() - named),
        stamps,
    )


def _jobs_of_task(
    request: Request, maker: JobMaker, task: Task, choices: Sequence[Chosen]
) -> Iterator[tuple[Job, Chosen]]:
    """Yield the jobs of a task by K and seed, prompt, and method."""
    rows = as_kept(task, read_rows(task, request.data, offline=request.offline))
    hashes = row_hashes(rows)
    tests = draw_test(rows, request.limit)
    whole = Scorer(task, tests.rows)
    prompts = _prompted(request, task)
    pool = any("unlabeled" in _needs(choice, maker.methods) for choice in choices)
    for k, seed in product(*_ks_and_seeds(request, maker.protocol, task)):
        split = make_split(
            task,
            rows,
            k,
            seed,
            drop_leaks=request.drop_leaks,
            cut=maker.protocol.dev_cut,
            drawn_test=tests,
            pool=False,
        )
        if pool:
            split = with_pool(split, rows)
        scorer = whole
        if split.dropped:
            tested = {example.id for example in split.test}
            scorer = Scorer(task, [example for example in rows.test if example.id in tested])
        drawn = exact_hash([*split.train, *split.dev])
        for prompted, choice in product(prompts, choices):
            # A method that reads no prompt has one run, whatever the template.
            reads_prompt = bool({"words", "template"} & set(choice.method.needs))
            data = JobData(prompted if reads_prompt else task, split, scorer, hashes, drawn)
            keep = request.keep_models
            yield maker.job(data, choice.method, choice.settings, keep=keep), choice


def _prompted(request: Request, task: Task) -> list[Task]:
    """Return a task with each prompt that was asked for."""
    return [with_prompt(task, name) for name in request.templates or (OWN,)]


def _stored(jobs: Iterable[Job], store: Store) -> dict[str, StampedRecord]:
    """Return the records of jobs and of the runs that train their teachers, by key."""
    needed = {one.key: one for job in jobs for one in job.lineage}
    found = ((key, store.stored(one.run)) for key, one in needed.items())
    return {key: stored for key, stored in found if stored is not None}


def _maker(
    request: Request, protocol: Protocol, known: Mapping[str, MethodInfo], chosen: Sequence[Chosen]
) -> JobMaker:
    needs = {need for choice in chosen for need in _needs(choice, known)}
    embedded = TEACHER if request.student == STUDENT else None
    names = {"student": request.student, "teacher": request.teacher or embedded}
    models: dict[str, ModelRef | None] = dict.fromkeys(names)
    for role, name in names.items():
        if name is not None and role in needs:
            models[role] = find_model(name, offline=request.offline)
    return JobMaker(
        protocol=protocol,
        methods=known,
        models=models,
        corpus=corpus_ref(request.corpus, request.data) if "corpus" in needs else None,
        limit=request.limit,
        drop_leaks=request.drop_leaks,
        arithmetic=arithmetic_of(request.dtype, request.attention),
        labelled=_labelled(request, chosen),
    )


def _labelled(request: Request, chosen: Sequence[Chosen]) -> dict[str, LabelledRows]:
    """Return the rows of other tasks that preparations read, by the task's name as typed.

    Raises:
        BenchError: an unknown task, or several.
        DataError: rows that are not there.
    """
    names = {rows_of(choice.method, choice.settings) for choice in chosen} - {""}
    found = {}
    for name in sorted(names):
        task, *others = choose_tasks([name])
        if others:
            raise BenchError(f"the setting rows={name} names a suite", allowed="one task")
        rows = read_rows(task, request.data, offline=request.offline)
        revision = joint_hash("labelled", task_hash(task), exact_hash(rows.train))
        found[name] = LabelledRows(task, request.data, request.offline, revision)
    return found


def _needs(choice: Chosen, known: Mapping[str, MethodInfo]) -> set[str]:
    """Return the needs of a method and of all that train its teachers."""
    teachers = lineage(choice.method, choice.settings, known)
    own = needing(choice.method, choice.settings).needs
    return set(own).union(*(needing(taught.method, taught.settings).needs for taught in teachers))


def _ks_and_seeds(
    request: Request, protocol: Protocol, task: Task
) -> tuple[tuple[K | None, ...], tuple[int, ...]]:
    """Return the K and seeds asked for; the defaults are the protocol's or the published folds'."""
    folds = task.source.folds
    if folds == 0:
        check_fits(request.k or (protocol.k,), protocol)
    ks: tuple[K | None, ...] = request.k or ((None,) if folds else (protocol.k,))
    seeds = request.seeds or (tuple(range(folds)) if folds else protocol.seeds)
    return ks, seeds
