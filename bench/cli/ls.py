"""`bench ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import JsonOption
from fewbench.cli.out import print_grid, print_json
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.data.facts import FactTask
    from fewbench.registry.protocol import Protocol


def ls(
    kind: Annotated[
        str, typer.Argument(help="tasks, methods, suites, models, protocols or figures")
    ],
    json: JsonOption = False,
) -> None:
    """List tasks, methods, suites, models, protocols or figures."""
    if kind not in _SHOWN:
        raise BenchError(
            f"there is no list of '{kind}'", allowed=_SHOWN, given=kind, fix="bench ls tasks"
        )
    rows = _ROWS[kind]()
    if json:
        print_json(rows)
        return
    shown = _SHOWN[kind]
    print_grid(shown, [[_cell(row[name]) for name in shown] for row in rows])


_SHOWN = {
    "tasks": ("name", "format", "classes", "headline", "sources", "suites"),
    "methods": ("name", "summary", "settings", "needs"),
    "suites": ("name", "title", "tasks"),
    "models": ("name", "type", "layers", "width", "vocabulary", "mib"),
    "protocols": ("name", "k", "seeds", "trials", "updates", "title"),
    "figures": ("name", "summary"),
}


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={setting}" for name, setting in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def _tasks() -> list[dict[str, Any]]:
    from fewbench.data.metrics import shown_metric
    from fewbench.data.task_file import declared
    from fewbench.registry.methods import task_files

    known = declared(task_files())
    members = {
        name: [m.partition("@")[0] for m in suite.tasks] for name, suite in known.suites.items()
    }
    rows: list[dict[str, Any]] = [
        {
            "name": task.name,
            "title": task.title,
            "format": task.format,
            "classes": "value" if task.is_regression else len(task.labels),
            "labels": task.labels,
            "metric": task.metric,
            "positive": task.positive or None,
            "headline": shown_metric(task.metric, task.positive),
            "metrics": [task.metric, *task.metrics],
            "sources": [source.name for source in task.sources],
            "suites": [name for name, tasks in members.items() if task.name in tasks],
            "template": task.template,
            "words": dict(zip(task.labels, task.words, strict=True)),
            "templates": {
                name: {"template": template, "words": dict(zip(task.labels, words, strict=True))}
                for name, template, words in task.prompts
            },
            "paper": task.paper,
            "licence": task.licence,
            "version": task.version,
        }
        for task in known.tasks.values()
    ]
    return sorted(
        rows + [_facts(facts) for facts in known.facts.values()], key=lambda row: str(row["name"])
    )


def _facts(facts: FactTask) -> dict[str, Any]:
    """Return the row of a set of facts: it has no classes, sources or suites, and its format is its
    kind.
    """
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


def _methods() -> list[dict[str, Any]]:
    from fewbench.registry.methods import methods

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
        for method in methods().values()
    ]


def _suites() -> list[dict[str, Any]]:
    from fewbench.data.task_file import declared
    from fewbench.registry.methods import task_files

    suites = declared(task_files()).suites
    return [
        {"name": suite.name, "title": suite.title, "tasks": suite.tasks}
        for suite in suites.values()
    ]


def _models() -> list[dict[str, Any]]:
    from fewbench.registry.pretrained import describe, embedded_models

    return [
        {
            "name": name,
            **describe(folder),
            "mib": round(sum(f.stat().st_size for f in folder.iterdir()) / 2**20, 1),
        }
        for name, folder in embedded_models().items()
    ]


def _protocols() -> list[dict[str, Any]]:
    from dataclasses import asdict

    from fewbench.registry.protocol import protocols

    usual = ("lr", "batch_size")
    return [
        {**asdict(one), "trials": len(one.trials(usual, {})), "updates": _updates(one)}
        for one in protocols().values()
    ]


def _updates(protocol: Protocol) -> str:
    """Return the number of updates in words, where it grows with the classes."""
    if protocol.grows_from is None:
        return str(protocol.max_steps)
    return f"{protocol.max_steps} ({protocol.max_steps / protocol.grows_from:g} a class from {protocol.grows_from} on)"


def _figures() -> list[dict[str, Any]]:
    from fewbench.report.figures import figures

    return [
        {"name": figure.name, "summary": figure.summary, "file": str(figure.file)}
        for figure in figures().values()
    ]


_ROWS = {
    "tasks": _tasks,
    "methods": _methods,
    "suites": _suites,
    "models": _models,
    "protocols": _protocols,
    "figures": _figures,
}
