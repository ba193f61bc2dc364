"""Task declarations: strict TOML tables to tasks. One file is a suite, one table a task.

Every mistake is refused with the file, the table and the key it stands in.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from fewbench.data.facts import KIND, FactTask, fact_task
from fewbench.data.metrics import METRICS, OF_ONE_CLASS
from fewbench.data.task_prompts import take_prompts
from fewbench.data.task_sources import FORMATS, take_sources
from fewbench.data.template import MARKS
from fewbench.errors import BenchError
from fewbench.io import toml
from fewbench.io.toml import TomlTable
from fewbench.refs import NAME
from fewbench.types import Json, Task

CORRELATIONS = ("pearson", "spearman")


class Suite(NamedTuple):
    """A named list of tasks, as `task` or `task@source`."""

    name: str
    title: str
    tasks: tuple[str, ...]


class TaskFile(NamedTuple):
    """What one TOML file declares."""

    path: Path
    suite: Suite
    tasks: dict[str, Task]
    facts: dict[str, FactTask]


class Declared(NamedTuple):
    """All tasks and suites by name, and the sets of facts, which no suite holds and no method is
    run on.
    """

    tasks: dict[str, Task]
    suites: dict[str, Suite]
    facts: dict[str, FactTask]


def declared(files: Iterable[Path]) -> Declared:
    """Return the tasks and suites of some files.

    Raises:
        BenchError: a mistake in a file, a name that stands twice, or a suite that names an unknown
            task or source.
    """
    tasks: dict[str, Task] = {}
    facts: dict[str, FactTask] = {}
    suites: dict[str, tuple[Suite, Path]] = {}
    for loaded in map(load_file, files):
        for name in (*loaded.tasks, *loaded.facts):
            if known := tasks.get(name) or facts.get(name):
                raise BenchError(
                    f"two tasks are called '{name}'", where=f"{known.file} and {loaded.path}"
                )
        tasks |= loaded.tasks
        facts |= loaded.facts
        if loaded.facts and not loaded.suite.tasks:
            continue
        if loaded.suite.name in suites:
            where = f"{suites[loaded.suite.name][1]} and {loaded.path}"
            fix = '[suite] with name = "…" in one of them'
            raise BenchError(f"two suites are called '{loaded.suite.name}'", where=where, fix=fix)
        suites[loaded.suite.name] = loaded.suite, loaded.path
    for suite, path in suites.values():
        for member in suite.tasks:
            name, _, source = member.partition("@")
            if name not in tasks:
                raise BenchError(
                    f"the suite names an unknown task '{name}'",
                    where=f"{path} [suite] tasks",
                    allowed=tasks,
                    given=name,
                )
            if source:
                with_source(tasks[name], source)
    named = {name: suites[name][0] for name in sorted(suites)}
    return Declared(dict(sorted(tasks.items())), named, dict(sorted(facts.items())))


def with_source(task: Task, name: str) -> Task:
    """Return the task with another of its sources in use.

    Raises:
        BenchError: it has no source of that name.
    """
    names = {source.name: source for source in task.sources}
    if name not in names:
        raise BenchError(
            f"task '{task.name}' has no source '{name}'",
            where=task.file,
            allowed=[f"{task.name}@{known}" for known in names],
            given=f"{task.name}@{name}",
        )
    return replace(task, sources=(names[name], *(s for s in task.sources if s.name != name)))


def load_file(path: Path) -> TaskFile:
    """Return what a file declares.

    Raises:
        BenchError: no such file, no TOML, or a mistake in a table.
    """
    if not path.is_file():
        raise BenchError(f"no such task file: {path}", fix="bench ls tasks")
    tables = toml.load(path)
    head = TomlTable(path, "suite", tables.pop("suite", {}))
    tasks: dict[str, Task] = {}
    facts: dict[str, FactTask] = {}
    for name, content in tables.items():
        table = TomlTable(path, name, content)
        if not NAME.fullmatch(name):
            raise table.error(
                "", f"'{name}' is no task name", allowed="lower-case letters, digits and single '-'"
            )
        kind = table.take("kind", str, "task")
        if kind not in ("task", KIND):
            raise table.error("kind", f"unknown kind '{kind}'", allowed=["task", KIND], given=kind)
        if kind == KIND:
            facts[name] = fact_task(table)
        else:
            tasks[name] = _task(table)
    members = tuple(head.take("tasks", list, list(tasks), of=str))
    suite = Suite(head.take("name", str, path.stem), head.take("title", str, path.stem), members)
    head.finish()
    return TaskFile(path, suite, tasks, facts)


def task_from(content: Json, name: str, where: Path) -> Task:
    """Return the task that a table's content declares; `where` names its file in errors.

    Raises:
        BenchError: a mistake in it.
    """
    table = TomlTable(where, name, content)
    if not NAME.fullmatch(name):
        raise table.error(
            "", f"'{name}' is no task name", allowed="lower-case letters, digits and single '-'"
        )
    return _task(table)


def _task(table: TomlTable) -> Task:
    form = table.take("format", str)
    if form not in FORMATS:
        raise table.error("format", f"unknown format '{form}'", allowed=FORMATS, given=form)
    labels = tuple(table.take("labels", list, of=str))
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise table.error(
            "labels", f"'labels' is {list(labels)}", allowed="two or more different names"
        )
    if form == "choice" and len(labels) > len(MARKS["options"]):
        raise table.error(
            "labels", f"a choice of {len(labels)} options", allowed=f"up to {len(MARKS['options'])}"
        )
    sources = take_sources(table, form, labels)
    own, *others = take_prompts(table, form, labels, len(sources[0].texts))
    task = Task(
        name=table.name,
        title=table.take("title", str),
        format=form,
        labels=labels,
        metric=_metric(table, "metric", table.take("metric", str)),
        template=own.template,
        words=own.words,
        sources=sources,
        paper=table.take("paper", str),
        licence=table.take("licence", str),
        version=table.positive("version"),
        bounds=_bounds(table, form, labels),
        metrics=tuple(
            _metric(table, "metrics", name) for name in table.take("metrics", list, [], of=str)
        ),
        max_length=table.positive("max_length"),
        rule=_rule(table),
        file=str(table.path),
        prompts=tuple(others),
        positive=table.take("positive", str, ""),
    )
    table.finish()
    _check_metrics(table, task)
    _check_positive(table, task)
    return task


def _check_metrics(table: TomlTable, task: Task) -> None:
    for name in (task.metric, *task.metrics):
        if name.startswith("evaluate:") and name not in OF_ONE_CLASS:
            continue
        key = "metric" if name == task.metric else "metrics"
        if (name in CORRELATIONS) != task.is_regression:
            kind, fix = (
                ("values", f"one of {', '.join(CORRELATIONS)}")
                if task.is_regression
                else ("classes", None)
            )
            raise table.error(
                key, f"{name} is no metric for a task with {kind}", fix=fix or "bounds = [0.0, 5.0]"
            )
        if name in OF_ONE_CLASS and len(task.labels) != 2:
            raise table.error(
                key,
                f"{name} is for two classes, and there are {len(task.labels)}",
                fix='"macro_f1"',
            )


def _check_positive(table: TomlTable, task: Task) -> None:
    """Refuse a metric of one class where the table does not say of which."""
    named = [name for name in (task.metric, *task.metrics) if name in OF_ONE_CLASS]
    if task.positive and not named:
        allowed = f"a label, with one of the metrics {', '.join(OF_ONE_CLASS)}"
        raise table.error("positive", "'positive' belongs to metrics of one class", allowed=allowed)
    if not named or task.positive in task.labels:
        return
    problem = (
        f"'positive' is '{task.positive}'"
        if task.positive
        else f"{named[0]} of which class is not said"
    )
    fix = f'positive = "{task.labels[1]}", or the other label'
    raise table.error(
        "positive", problem, allowed=task.labels, given=task.positive or None, fix=fix
    )


def _metric(table: TomlTable, key: str, name: str) -> str:
    if name not in METRICS and not re.fullmatch(r"evaluate:[\w./-]+", name):
        allowed = [*METRICS, "evaluate:NAME"]
        raise table.error(key, f"unknown metric '{name}'", allowed=allowed, given=name)
    return name


def _bounds(table: TomlTable, form: str, labels: tuple[str, ...]) -> tuple[float, float] | None:
    bounds = table.take("bounds", list, None)
    if bounds is None:
        return None
    if form == "choice":
        raise table.error(
            "bounds", "a choice has no bounds", allowed="bounds for the formats single and pair"
        )
    finite = [type(b) in (int, float) and abs(b) <= sys.float_info.max for b in bounds]
    if finite != [True, True] or not bounds[0] < bounds[1]:
        raise table.error(
            "bounds",
            f"'bounds' is {bounds}",
            allowed="the lowest and the highest value, in that order",
        )
    if len(labels) != 2:
        raise table.error(
            "labels",
            f"regression has {len(labels)} labels",
            allowed="two: the lower and the upper word's",
        )
    return float(bounds[0]), float(bounds[1])


def _rule(table: TomlTable) -> Any:
    rule = table.take("rule", str, "shuffle")
    if rule not in ("shuffle", "chained"):
        raise table.error(
            "rule", f"unknown split rule '{rule}'", allowed=["shuffle", "chained"], given=rule
        )
    return rule
