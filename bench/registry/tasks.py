"""Find tasks and sets of facts by what a user types: names, `task@source`, suites, `all`, files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fewbench.data.facts import FactTask
from fewbench.data.task_file import Declared, declared, with_source
from fewbench.errors import BenchError
from fewbench.registry.methods import task_files
from fewbench.types import Task

TOML = ".toml"


def choose_tasks(requests: Sequence[str]) -> list[Task]:
    """List the tasks that `--tasks` names, each once.

    Raises:
        BenchError: an unknown task, suite or source, or a file that is not there.
    """
    files = [Path(request) for request in requests if request.endswith(TOML)]
    for file in files:
        _check_file(file)
    known = declared(task_files(files))
    names = dict.fromkeys(name for request in requests for name in _names(request, known))
    for name in _only_prompted(requests, known):
        names.setdefault(name)
    return [_task(name, known) for name in names]


def _only_prompted(requests: Sequence[str], known: Declared) -> list[str]:
    """List the tasks that files of prompts alone stand for: those that no other request names."""
    asked = {request.partition("@")[0] for request in requests}
    files = {Path(request).resolve() for request in requests if request.endswith(TOML)}
    found = [added.task for added in known.prompts if added.path.resolve() in files]
    return [task for task in found if task not in asked]


def choose_facts(name: str) -> FactTask:
    """Find the set of facts that `bench probe` names, or the one that a TOML file declares.

    Raises:
        BenchError: an unknown name, a task's name, or a file that declares none or several.
    """
    if name.endswith(TOML):
        return _facts_of_file(Path(name))
    known = declared(task_files())
    if name in known.facts:
        return known.facts[name]
    if name in known.tasks or name in known.suites:
        fix = f"bench run --tasks {name}, or bench probe with one of those allowed"
        raise BenchError(f"'{name}' is no set of facts", allowed=known.facts, fix=fix)
    raise BenchError(
        f"unknown set of facts '{name}'", allowed=known.facts, given=name, fix="bench ls tasks"
    )


def _facts_of_file(file: Path) -> FactTask:
    _check_file(file)
    known = declared(task_files([file]))
    in_file = [facts for facts in known.facts.values() if _is_from(facts, file)]
    if len(in_file) != 1:
        raise BenchError(
            f"this file declares {len(in_file)} sets of facts",
            where=str(file),
            fix='one, with kind = "facts"',
        )
    return in_file[0]


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise BenchError(f"no such task file: {file}", fix="bench ls tasks")


def _is_from(item: Task | FactTask, file: Path) -> bool:
    return Path(item.file).resolve() == file.resolve()


def _names(request: str, known: Declared) -> Iterator[str]:
    """Yield the names of the tasks that a request stands for, known or not."""
    if request.endswith(TOML):
        file = Path(request)
        tasks = [name for name, task in known.tasks.items() if _is_from(task, file)]
        facts = [name for name, facts in known.facts.items() if _is_from(facts, file)]
        yield from tasks or facts
    elif request == "all":
        yield from known.tasks
    elif request in known.suites and request not in known.tasks:
        yield from known.suites[request].tasks
    else:
        yield request


def _task(name: str, known: Declared) -> Task:
    """Return the task of `task` or `task@source`."""
    bare, _, source = name.partition("@")
    if bare in known.facts:
        raise BenchError(
            f"'{bare}' is a set of facts, which models are asked for: no method is trained on it",
            where=known.facts[bare].file,
            fix=f"bench probe {bare} --student MODEL",
        )
    if bare not in known.tasks:
        raise BenchError(
            f"unknown task or suite '{bare}'",
            allowed=[*known.tasks, *known.suites, "all"],
            given=bare,
            fix="bench ls tasks",
        )
    task = known.tasks[bare]
    return with_source(task, source) if source else task
