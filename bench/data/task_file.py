"""Read task files: strict TOML, in which a file is a suite and each table a task.

Errors name the file, the table and the key.
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
from fewbench.data.spans import SPAN_METRICS
from fewbench.data.task_prompts import take_prompts, with_more_prompts
from fewbench.data.task_sources import FORMATS, take_sources
from fewbench.data.template import MARKS
from fewbench.errors import BenchError
from fewbench.io import toml
from fewbench.io.toml import GUIDE, TomlTable
from fewbench.refs import NAME
from fewbench.types import Json, Task

CORRELATIONS = ("pearson", "spearman")


class Suite(NamedTuple):
    """A named list of tasks, as `task` or `task@source`."""

    name: str
    title: str
    tasks: tuple[str, ...]


class TaskFile(NamedTuple):
    """The declarations of one TOML file; `prompts` are tables of prompts for tasks of others."""

    path: Path
    suite: Suite
    tasks: dict[str, Task]
    facts: dict[str, FactTask]
    prompts: tuple[TomlTable, ...] = ()


class PromptsFor(NamedTuple):
    """A file that has prompts for a task of another file."""

    path: Path
    task: str
    names: tuple[str, ...]


class Declared(NamedTuple):
    """All tasks, suites and sets of facts by name; facts belong to no suite."""

    tasks: dict[str, Task]
    suites: dict[str, Suite]
    facts: dict[str, FactTask]
    prompts: tuple[PromptsFor, ...] = ()


def declared(files: Iterable[Path]) -> Declared:
    """Read the tasks, suites and facts of several files.

    Raises:
        BenchError: a file has a mistake, a name is used twice, or a suite names an unknown task or
            source.
    """
    tasks: dict[str, Task] = {}
    facts: dict[str, FactTask] = {}
    suites: dict[str, TaskFile] = {}
    prompts: list[TomlTable] = []
    for file in map(load_file, files):
        for name in (*file.tasks, *file.facts):
            if other := tasks.get(name) or facts.get(name):
                where = f"{other.file} and {file.path}"
                raise BenchError(f"two tasks are called '{name}'", where=where)
        tasks |= file.tasks
        facts |= file.facts
        prompts += file.prompts
        has_others = file.facts or file.prompts
        if file.suite.tasks or not has_others:
            _add_suite(suites, file)
    _check_members(suites.values(), tasks)
    return Declared(
        prompts=tuple(_add_prompts(table, tasks) for table in prompts),
        tasks=dict(sorted(tasks.items())),
        suites={name: suites[name].suite for name in sorted(suites)},
        facts=dict(sorted(facts.items())),
    )


def _add_prompts(table: TomlTable, tasks: dict[str, Task]) -> PromptsFor:
    """Add the prompts of a table to the task of another file that it names."""
    if table.name not in tasks:
        problem = f"prompts for an unknown task '{table.name}'"
        fix = f"a task's name, without its source; of a task of your own, its table whole: {GUIDE}"
        raise table.error("", problem, allowed=tasks, given=table.name, fix=fix)
    before = tasks[table.name].prompts
    tasks[table.name] = with_more_prompts(tasks[table.name], table)
    added = tasks[table.name].prompts[len(before) :]
    return PromptsFor(table.path, table.name, tuple(prompt.name for prompt in added))


def _add_suite(suites: dict[str, TaskFile], file: TaskFile) -> None:
    name = file.suite.name
    if name in suites:
        where = f"{suites[name].path} and {file.path}"
        fix = '[suite] with name = "…" in one of them'
        raise BenchError(f"two suites are called '{name}'", where=where, fix=fix)
    suites[name] = file


def _check_members(files: Iterable[TaskFile], tasks: dict[str, Task]) -> None:
    members = [(file, member) for file in files for member in file.suite.tasks]
    for file, member in members:
        name, _, source = member.partition("@")
        if name not in tasks:
            raise BenchError(
                f"the suite names an unknown task '{name}'",
                where=f"{file.path} [suite] tasks",
                allowed=tasks,
                given=name,
            )
        if source:
            with_source(tasks[name], source)


def with_source(task: Task, name: str) -> Task:
    """Return the task with the named source in use.

    Raises:
        BenchError: the task has no such source.
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
    """Read a task file.

    Raises:
        BenchError: there is no such file, it is not TOML, or a table has a mistake.
    """
    if not path.is_file():
        raise BenchError(f"no such task file: {path}", fix="bench ls tasks")
    tables = toml.load(path)
    head = TomlTable(path, "suite", tables.pop("suite", {}))
    tasks: dict[str, Task] = {}
    facts: dict[str, FactTask] = {}
    prompts: list[TomlTable] = []
    for name, content in tables.items():
        table = _named_table(path, name, content)
        if content.keys() == {"templates"}:
            prompts.append(table)
            continue
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
    return TaskFile(path, suite, tasks, facts, tuple(prompts))


def task_from(content: Json, name: str, where: Path) -> Task:
    """Read a task from a table's content; `where` names its file in errors.

    Raises:
        BenchError: the table has a mistake.
    """
    return _task(_named_table(where, name, content))


def _named_table(path: Path, name: str, content: Any) -> TomlTable:
    table = TomlTable(path, name, content)
    if not NAME.fullmatch(name):
        allowed = "lower-case letters, digits and single '-'"
        raise table.error("", f"'{name}' is not a valid task name", allowed=allowed)
    return table


def _task(table: TomlTable) -> Task:
    form = table.take("format", str)
    if form not in FORMATS:
        raise table.error("format", f"unknown format '{form}'", allowed=FORMATS, given=form)
    labels = _labels(table, form)
    sources = take_sources(table, form, labels)
    main, *others = take_prompts(table, form, labels, sources)
    metrics = table.take("metrics", list, [], of=str)
    task = Task(
        name=table.name,
        title=table.take("title", str),
        format=form,
        labels=labels,
        metric=_metric(table, "metric", table.take("metric", str)),
        template=main.template,
        words=main.words,
        sources=sources,
        paper=table.take("paper", str),
        licence=table.take("licence", str),
        version=table.positive("version"),
        bounds=_bounds(table, form, labels),
        metrics=tuple(_metric(table, "metrics", name) for name in metrics),
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


def _labels(table: TomlTable, form: str) -> tuple[str, ...]:
    if form == "span":
        return _span_labels(table)
    labels = tuple(table.take("labels", list, of=str))
    if len(labels) < 2 or len(set(labels)) != len(labels):
        allowed = "two or more different names"
        raise table.error("labels", f"'labels' is {list(labels)}", allowed=allowed)
    most = len(MARKS["options"])
    if form == "choice" and len(labels) > most:
        problem = f"a choice of {len(labels)} options"
        raise table.error("labels", problem, allowed=f"up to {most}")
    return labels


def _span_labels(table: TomlTable) -> tuple[str, ...]:
    labels = tuple(table.take("labels", list, of=str))
    if len(labels) not in (1, 2) or len(set(labels)) != len(labels):
        allowed = "a name for rows with an answer, and one for those without if there are any"
        problem, fix = f"'labels' is {list(labels)}", 'labels = ["answer"]'
        raise table.error("labels", problem, allowed=allowed, fix=fix)
    return labels


def _check_metrics(table: TomlTable, task: Task) -> None:
    for name in (task.metric, *task.metrics):
        key = "metric" if name == task.metric else "metrics"
        if (name in SPAN_METRICS) != (task.format == "span"):
            fix = f"one of {', '.join(SPAN_METRICS)} for the format span, and there alone"
            problem = f"{name} is not a metric for the format {task.format}"
            raise table.error(key, problem, fix=fix)
        if name in METRICS or name in OF_ONE_CLASS:  # any other is the hub's
            _check_metric(table, key, name, task)


def _check_metric(table: TomlTable, key: str, name: str, task: Task) -> None:
    if task.is_regression and name not in CORRELATIONS:
        fix = f"one of {', '.join(CORRELATIONS)}"
        raise table.error(key, f"{name} is not a metric for a task with values", fix=fix)
    if not task.is_regression and name in CORRELATIONS:
        problem = f"{name} is not a metric for a task with classes"
        raise table.error(key, problem, fix="bounds = [0.0, 5.0]")
    if name in OF_ONE_CLASS and len(task.labels) != 2:
        problem = f"{name} is for two classes, but there are {len(task.labels)}"
        raise table.error(key, problem, fix='"macro_f1"')


def _check_positive(table: TomlTable, task: Task) -> None:
    """Check that a metric of one class has its class declared."""
    metrics = [name for name in (task.metric, *task.metrics) if name in OF_ONE_CLASS]
    if task.positive and not metrics:
        allowed = f"a label, with one of the metrics {', '.join(OF_ONE_CLASS)}"
        raise table.error("positive", "'positive' belongs to metrics of one class", allowed=allowed)
    if not metrics or task.positive in task.labels:
        return
    problem = f"{metrics[0]} needs the class that it measures"
    if task.positive:
        problem = f"'positive' is '{task.positive}'"
    fix = f'positive = "{task.labels[1]}", or the other label'
    given = task.positive or None
    raise table.error("positive", problem, allowed=task.labels, given=given, fix=fix)


def _metric(table: TomlTable, key: str, name: str) -> str:
    if name not in {**METRICS, **SPAN_METRICS} and not re.fullmatch(r"evaluate:[\w./-]+", name):
        allowed = [*METRICS, *SPAN_METRICS, "evaluate:NAME"]
        raise table.error(key, f"unknown metric '{name}'", allowed=allowed, given=name)
    return name


def _bounds(table: TomlTable, form: str, labels: tuple[str, ...]) -> tuple[float, float] | None:
    bounds = table.take("bounds", list, None)
    if bounds is None:
        return None
    if form in ("choice", "span"):
        allowed = "bounds for the formats single and pair"
        raise table.error("bounds", f"a {form} has no bounds", allowed=allowed)
    finite = [type(b) in (int, float) and abs(b) <= sys.float_info.max for b in bounds]
    if finite != [True, True] or not bounds[0] < bounds[1]:
        allowed = "the lowest and the highest value, in that order"
        raise table.error("bounds", f"'bounds' is {bounds}", allowed=allowed)
    if len(labels) != 2:
        allowed = "two: one for the lower word and one for the upper word"
        raise table.error("labels", f"regression has {len(labels)} labels", allowed=allowed)
    return float(bounds[0]), float(bounds[1])


def _rule(table: TomlTable) -> Any:
    rule = table.take("rule", str, "shuffle")
    if rule not in ("shuffle", "chained"):
        raise table.error(
            "rule", f"unknown split rule '{rule}'", allowed=["shuffle", "chained"], given=rule
        )
    return rule
