"""The planner: from what was asked to the runs it stands for, and which of them have no record yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from fewbench.data.corpora import corpus_ref
from fewbench.data.facts import FactTask
from fewbench.data.metrics import Scorer, check_metrics
from fewbench.data.reader import read_rows
from fewbench.data.split import make_split
from fewbench.data.task_file import declared, with_source
from fewbench.data.task_prompts import OWN, with_prompt
from fewbench.errors import BenchError
from fewbench.registry.methods import MethodInfo, task_files
from fewbench.registry.pretrained import find_model
from fewbench.registry.protocol import Protocol, get_protocol
from fewbench.registry.settings import choose_methods, methods_of
from fewbench.runner.compatibility import match
from fewbench.runner.jobs import Job, Maker, Plan
from fewbench.store.inputs import row_hashes
from fewbench.store.store import Store
from fewbench.types import Task

STUDENT, TEACHER = "fewbench-micro", "fewbench-mini"
"""The embedded default backbones."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `bench run` was asked. None means the default (K, seeds: the protocol's, or those of
    published folds).

    The embedded teacher is that of the embedded student alone: it would teach no other model
    anything.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    k: tuple[int, ...] | None = None
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


def make_plan(
    request: Request, store: Store, notify: Callable[[str], None] = lambda text: None
) -> Plan:
    """Return the plan for a request.

    Every name, setting, K, file and model is checked here, before anything runs. `notify` hears
    what is going on. A method that came with `all`, or a task that came with a suite, is left out
    where they do not go together.

    Raises:
        BenchError: anything asked for that cannot be had.
    """
    protocol = get_protocol(request.protocol)
    known = methods_of(request.methods)
    chosen = choose_methods(request.methods, known)
    tasks = [replace(task, metric_code=request.metric_code) for task in choose_tasks(request.tasks)]
    for task in tasks:
        check_metrics(task)
    maker = _maker(
        request, protocol, known, {need for choice in chosen for need in choice.method.needs}
    )
    prompted = {
        task: [with_prompt(task, name) for name in request.templates or (OWN,)] for task in tasks
    }
    jobs: dict[str, Job] = {}
    named: set[str] = set()
    together, left_out = match(chosen, tasks, request.tasks, maker.refs)
    for task, variants in prompted.items():
        if not together[task]:
            continue
        notify(f"reading {task.full_name}")
        rows = read_rows(task, request.data, offline=request.offline)
        hashes = row_hashes(rows)
        for k, seed in product(*_ks_and_seeds(request, protocol, task)):
            split = make_split(
                task, rows, k, seed, limit=request.limit, drop_leaks=request.drop_leaks
            )
            scored = {example.id for example in split.test}
            scorer = Scorer(task, [example for example in rows.test if example.id in scored])
            for variant, (method, settings, by_name) in product(variants, together[task]):
                # A method that reads no prompt has one run, whatever the template.
                used = variant if {"words", "template"} & set(method.needs) else task
                job = maker.job(
                    used, split, hashes, scorer, method, settings, keep=request.keep_models
                )
                jobs.setdefault(job.key, job)
                named |= {job.key} if by_name else set()
    runs = {
        job.key: job.run
        for asked in jobs.values()
        for job in (asked.teacher, asked)
        if job is not None
    }
    records = {key: record for key, run in runs.items() if (record := store.get(run)) is not None}
    return Plan(
        tuple(jobs.values()), records, store.artifacts, left_out, frozenset(jobs.keys() - named)
    )


def _maker(
    request: Request, protocol: Protocol, known: Mapping[str, MethodInfo], needs: set[str]
) -> Maker:
    teacher = request.teacher or (TEACHER if request.student == STUDENT else None)
    roles = {"student": request.student, "teacher": teacher}
    return Maker(
        protocol=protocol,
        known=known,
        refs={
            role: find_model(name, offline=request.offline)
            if name is not None and role in needs
            else None
            for role, name in roles.items()
        },
        corpus=corpus_ref(request.corpus, request.data) if "corpus" in needs else None,
        limit=request.limit,
        drop_leaks=request.drop_leaks,
    )


def _ks_and_seeds(
    request: Request, protocol: Protocol, task: Task
) -> tuple[tuple[int | None, ...], tuple[int, ...]]:
    """Return what was asked for, else the protocol's; published folds have a K and numbers of their
    own.
    """
    folds = task.source.folds
    ks = request.k or ((None,) if folds else (protocol.k,))
    return ks, request.seeds or (tuple(range(folds)) if folds else protocol.seeds)


def choose_tasks(requests: Sequence[str]) -> list[Task]:
    """Return what `--tasks` names: tasks, `task@source`, suites, `all`, and paths to TOML files.

    Raises:
        BenchError: an unknown task, suite or source.
    """
    paths = [Path(request) for request in requests if request.endswith(".toml")]
    if missing := [path for path in paths if not path.is_file()]:
        raise BenchError(f"no such task file: {missing[0]}", fix="bench ls tasks")
    known = declared(task_files(paths))
    names: list[str] = []
    for request in requests:
        if request.endswith(".toml"):
            file = Path(request).resolve()
            names += [
                name for name, task in known.tasks.items() if Path(task.file).resolve() == file
            ] or [name for name, facts in known.facts.items() if Path(facts.file).resolve() == file]
        elif request == "all":
            names += known.tasks
        elif request in known.suites and request not in known.tasks:
            names += known.suites[request].tasks
        else:
            names.append(request)
    chosen = []
    for name in dict.fromkeys(names):
        bare, _, source = name.partition("@")
        if bare in known.facts:
            raise BenchError(
                f"'{bare}' is a set of facts: models are asked for them, and no method is trained on them",
                where=known.facts[bare].file,
                fix=f"bench probe {bare} --student MODEL",
            )
        if bare not in known.tasks:
            allowed = [*known.tasks, *known.suites, "all"]
            raise BenchError(
                f"unknown task or suite '{bare}'", allowed=allowed, given=bare, fix="bench ls tasks"
            )
        chosen.append(with_source(known.tasks[bare], source) if source else known.tasks[bare])
    return chosen


def choose_facts(name: str) -> FactTask:
    """Return the set of facts that `bench probe` names: by its name, or by the path of a TOML file
    that declares one.

    Raises:
        BenchError: an unknown name, a task's name, or a file that declares none or several.
    """
    path = Path(name) if name.endswith(".toml") else None
    if path is not None and not path.is_file():
        raise BenchError(f"no such task file: {path}", fix="bench ls tasks")
    known = declared(task_files([path] if path else []))
    if path is not None:
        own = [
            facts for facts in known.facts.values() if Path(facts.file).resolve() == path.resolve()
        ]
        if len(own) != 1:
            raise BenchError(
                f"this file declares {len(own)} sets of facts",
                where=name,
                fix='one, with kind = "facts"',
            )
        return own[0]
    if name in known.tasks or name in known.suites:
        fix = f"bench run --tasks {name}, or bench probe with one of those allowed"
        raise BenchError(f"'{name}' is no set of facts", allowed=known.facts, fix=fix)
    if name not in known.facts:
        raise BenchError(
            f"unknown set of facts '{name}'", allowed=known.facts, given=name, fix="bench ls tasks"
        )
    return known.facts[name]
