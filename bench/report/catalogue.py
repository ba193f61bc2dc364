"""Lists as rows of plain values: tasks, methods, models, and the runs of a store.

Nothing is imported before it is listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fewbench.types import Json

if TYPE_CHECKING:
    from fewbench.data.facts import FactTask
    from fewbench.data.task_file import Suite
    from fewbench.registry.protocol import Protocol
    from fewbench.report.wanted import Wanted
    from fewbench.store.record import Record
    from fewbench.store.store import Store
    from fewbench.types import Task


def runs(store: Store, wanted: Wanted, methods: Collection[str] = ()) -> list[Json]:
    """Return the stored runs that are wanted, sorted by task, method, K, seed and models.

    A score is in hundredths, None if the run failed.

    Args:
        store: of the runs; damaged records are left out, and noted there.
        wanted: which runs.
        methods: only these, with all settings or those that are named; all if there are none.

    Raises:
        BenchError: no stored run has one of the methods, the models, the protocol or the Ks.
    """
    from fewbench.report.query import models_apart, of_methods
    from fewbench.store.selector import run_order

    records = models_apart(store.records())
    wanted.check(records, str(store.root))
    if methods:
        records = of_methods(list(methods), records, str(store.root))
    records = [record for record in records if record in wanted]
    records.sort(key=lambda record: run_order(record.run))
    return [_run_row(record) for record in records]


def _run_row(record: Record) -> Json:
    run, question, entrant = record.run, record.question, record.cell.entrant
    score = record.score
    return {
        "key": run.key,
        "task": question.task.name,
        "method": entrant.method,
        "k": run.k,
        "seed": run.seed,
        "student": entrant.student,
        "teacher": entrant.teacher,
        "corpus": entrant.corpus,
        "protocol": run.protocol,
        "limit": run.limit,
        "drop_leaks": run.drop_leaks,
        "arithmetic": run.arithmetic.name,
        "metric": question.task.metric_name,
        "score": None if score is None else round(100 * score, 2),
        "status": record.status,
    }


def tasks() -> list[Json]:
    """Return the declared tasks and sets of facts, by name."""
    from fewbench.data.task_file import declared
    from fewbench.registry.methods import task_files

    known = declared(task_files())
    rows = [_facts_row(facts) for facts in known.facts.values()]
    rows += [_task_row(task, known.suites.values()) for task in known.tasks.values()]
    return sorted(rows, key=lambda row: str(row["name"]))


def _task_row(task: Task, suites: Iterable[Suite]) -> Json:
    from fewbench.data.metrics import shown_metric

    suite_names = []
    for suite in suites:
        members = [member.partition("@")[0] for member in suite.tasks]
        if task.name in members:
            suite_names.append(suite.name)
    templates = {
        prompt.name: {
            "template": prompt.template,
            "words": dict(zip(task.labels, prompt.words, strict=True)),
        }
        for prompt in task.prompts
    }
    return {
        "name": task.name,
        "title": task.title,
        "format": task.format,
        "classes": {"regression": "value", "span": "span"}.get(task.kind, len(task.labels)),
        "labels": task.labels,
        "metric": task.metric,
        "positive": task.positive or None,
        "headline": shown_metric(task.metric, task.positive),
        "metrics": [task.metric, *task.metrics],
        "sources": [source.name for source in task.sources],
        "suites": suite_names,
        "template": task.template,
        "words": dict(zip(task.labels, task.words, strict=True)),
        "templates": templates,
        "paper": task.paper,
        "licence": task.licence,
        "version": task.version,
    }


def _facts_row(facts: FactTask) -> Json:
    """Return the row of a set of facts, which has no classes, sources or suites."""
    from fewbench.data.facts import KIND

    return {
        "name": facts.name,
        "title": facts.title,
        "format": KIND,
        "classes": None,
        "labels": (),
        "metric": "mrr",
        "positive": None,
        "headline": "mrr",
        "metrics": ["mrr", "p1", "p10"],
        "sources": [],
        "suites": [],
        "template": None,
        "words": {},
        "templates": {},
        "paper": facts.paper,
        "licence": facts.licence,
        "version": facts.version,
    }


def methods() -> list[Json]:
    """Return the installed methods."""
    from fewbench.registry import methods as registry

    return [
        {
            "name": method.name,
            "summary": method.summary,
            "paper": method.paper,
            "settings": dict(method.settings),
            "search": method.search,
            "grid": dict(method.grid),
            "presets": dict(method.presets),
            "needs": method.needs,
            "kinds": method.kinds,
            "backbones": method.backbones,
            "file": str(method.file),
        }
        for method in registry.methods().values()
    ]


def groups() -> list[Json]:
    """Return the groups of methods."""
    from fewbench.registry.groups import method_groups

    return [group._asdict() for group in method_groups().values()]


def suites() -> list[Json]:
    """Return the suites of tasks."""
    from fewbench.data.task_file import declared
    from fewbench.registry.methods import task_files

    suites = declared(task_files()).suites
    return [
        {"name": suite.name, "title": suite.title, "tasks": suite.tasks}
        for suite in suites.values()
    ]


def models() -> list[Json]:
    """Return the embedded models."""
    from fewbench.registry.pretrained import describe, embedded_models

    return [
        {"name": name, **describe(folder), "mib": _mib(folder)}
        for name, folder in embedded_models().items()
    ]


def _mib(folder: Path) -> float:
    size = sum(file.stat().st_size for file in folder.iterdir())
    return round(size / 2**20, 1)


def protocols() -> list[Json]:
    """Return the protocols."""
    from dataclasses import asdict

    from fewbench.registry import protocols as registry

    searched = ("lr", "batch_size")
    return [
        {
            **asdict(protocol),
            "trials": len(protocol.trials(searched, {})),
            "updates": _updates(protocol),
        }
        for protocol in registry.protocols().values()
    ]


def _updates(protocol: Protocol) -> str:
    """Return the number of updates in words, where it grows with the classes."""
    if protocol.epochs is not None:
        return f"{protocol.epochs:g} epochs"
    if protocol.grows_from is None:
        return str(protocol.max_steps)
    per_class = protocol.max_steps / protocol.grows_from
    return f"{protocol.max_steps} ({per_class:g} per class from {protocol.grows_from} on)"


def figures() -> list[Json]:
    """Return the figures that `bench plot` draws."""
    from fewbench.report import figures as drawn

    return [
        {"name": figure.name, "summary": figure.summary, "file": str(figure.file)}
        for figure in drawn.figures().values()
    ]
