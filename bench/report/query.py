"""Selection of stored records by the names that a user types."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from fewbench.data.task_file import declared
from fewbench.errors import BenchError
from fewbench.registry.groups import method_groups
from fewbench.registry.methods import MethodInfo, task_files
from fewbench.registry.methods import methods as read_methods
from fewbench.registry.pipeline import info_of
from fewbench.registry.settings import choose_methods, split_list
from fewbench.store.cell import TaskCell, label
from fewbench.store.record import Record
from fewbench.store.seed_runs import HasRun
from fewbench.store.selector import REVISION
from fewbench.types import CorpusRef, ModelRef, Task

R = TypeVar("R", bound=HasRun)

TOML = ".toml"

ROLES = ("student", "teacher", "corpus")


def models_apart(records: Iterable[R]) -> list[R]:
    """Rename models of the same name to `name@revision`, so that names identify them.

    Comparisons and means go by names, and a model may be trained again under its old one. Keys stay
    the same: they hold a model's revision.
    """
    records, revisions = list(records), dict[tuple[type, str], set[str]]()
    for ref in {ref for record in records for ref in _refs(record)}:
        if ref is not None:
            revisions.setdefault((type(ref), ref.name), set()).add(ref.revision)
    if all(len(of_name) == 1 for of_name in revisions.values()):
        return records
    return [_with_revisions(record, revisions) for record in records]


def _with_revisions(record: R, revisions: Mapping[tuple[type, str], set[str]]) -> R:
    """Add the revision to those names in a record that several models share."""
    renamed: dict[str, Any] = {}
    for role, ref in zip(ROLES, _refs(record), strict=True):
        if ref is not None and len(revisions[type(ref), ref.name]) > 1:
            renamed[role] = replace(ref, name=f"{ref.name}@{ref.revision[:REVISION]}")
    return record.with_run(replace(record.run, **renamed)) if renamed else record


def _refs(record: HasRun) -> tuple[ModelRef | CorpusRef | None, ...]:
    """Return the models and the corpus of a run, in the order of `ROLES`."""
    return record.run.student, record.run.teacher, record.run.corpus


def task_names(given: Sequence[str]) -> frozenset[str]:
    """Return the names of the tasks that `--tasks` selects.

    It takes tasks, `task@source`, suites, all, and TOML files.

    Raises:
        BenchError: an unknown task or suite, none at all, or a file that is not a task file.
    """
    from fewbench.registry.tasks import choose_tasks

    names = _split(given)
    with_source = {name for name in names if "@" in name and not name.endswith(TOML)}
    tasks = choose_tasks([name for name in names if name not in with_source])
    return frozenset(with_source).union(task.name for task in tasks)


def task_order(given: Sequence[str]) -> list[str]:
    """Return the names of the tasks that `--tasks` selects, in their order."""
    from fewbench.registry.tasks import choose_tasks

    names: list[str] = []
    for name in _split(given):
        if "@" in name and not name.endswith(TOML):
            names.append(name)
        elif name != "all":
            names += [task.name for task in choose_tasks([name])]
    return names


def method_order(given: Sequence[str]) -> list[str]:
    """Return the methods that `--methods` names, those of groups one by one, in their order."""
    names: list[str] = []
    for name in split_list(",".join(given), "--methods"):
        names += labels_of(name) if name in method_groups() else [name]
    return names


def own_files(given: Sequence[str] | None) -> list[Path]:
    """Return the TOML files among the names in `--tasks`."""
    return [Path(name) for name in _split(given or ()) if name.endswith(TOML)]


def _split(given: Sequence[str]) -> list[str]:
    """Split each text at commas, unless it is the path of a file."""
    names: list[str] = []
    for text in given:
        if text.endswith(TOML) and Path(text).is_file():
            names.append(text)
        else:
            names += split_list(text, "--tasks")
    return names


def by_label(records: Iterable[R]) -> dict[str, list[R]]:
    """Group records by method and settings, as typed: `ft`, `ft:lr=1e-05`."""
    groups: dict[str, list[R]] = {}
    for record in records:
        groups.setdefault(label(record.run.method, record.run.settings), []).append(record)
    return dict(sorted(groups.items()))


def find_label(name: str, known: Iterable[str], where: str) -> str:
    """Return the stored method with a name.

    The name has the settings as typed or by a preset, or none if only one variant is stored.

    Raises:
        BenchError: no such method, or several variants of it.
    """
    known = list(known)
    if name in known:
        return name
    variants = [other for other in known if other.partition(":")[0] == name]
    if len(variants) == 1:
        return variants[0]
    if variants:
        raise BenchError(
            f"'{name}' is stored with several settings",
            where=where,
            allowed=variants,
            fix="name one",
        )
    if ":" in name:
        labels = [label(chosen.method.name, chosen.settings) for chosen in choose_methods([name])]
        if len(labels) == 1 and labels[0] in known:
            return labels[0]
    raise BenchError(
        f"no stored run has the method '{name}'", where=where, allowed=known, given=name
    )


def labels_of(group: str) -> list[str]:
    """Return the methods of a group as tables name them, with the settings of their presets."""
    return [label(chosen.method.name, chosen.settings) for chosen in choose_methods([group])]


def of_methods(given: Sequence[str], records: Sequence[R], where: str) -> list[R]:
    """Return the records of some methods: with all their settings, or with those that are named.

    Of a group, the members that are stored.

    Raises:
        BenchError: no stored run has one of the methods.
    """
    stored = by_label(records)
    labels: set[str] = set()
    for name in split_list(",".join(given), "--methods"):
        labels.update(_stored_labels(name, stored, where))
    return [record for text in sorted(labels) for record in stored[text]]


def _stored_labels(name: str, stored: Collection[str], where: str) -> list[str]:
    """Return the stored methods that a name stands for: its variants, or a group's members."""
    variants = [text for text in stored if text.partition(":")[0] == name]
    if not variants and name in method_groups():
        variants = [member for member in labels_of(name) if member in stored]
    return variants or [find_label(name, stored, where)]


def code_of(
    records: Iterable[HasRun], methods: Mapping[str, MethodInfo] | None = None
) -> dict[str, str]:
    """Return the hash of today's code of the records' methods, for those that are available.

    The methods are read from their files unless they are given.
    """
    known = read_methods() if methods is None else methods
    hashes = {}
    for name in sorted({record.run.method for record in records}):
        info = info_of(name, known)
        if info is not None:
            hashes[name] = info.code_hash()
    return hashes


def count_stale(records: Sequence[Record]) -> int:
    """Count the records made by other code than their method's of today."""
    code = code_of(records)
    return sum(
        code.get(record.run.method, record.method_code) != record.method_code for record in records
    )


def who_takes_what(files: Sequence[Path] = ()) -> Callable[[str, TaskCell], bool]:
    """Make a function that says if a method takes a task, True if either is unknown.

    Tasks and methods are read at the first call.

    Args:
        files: the user's TOML files of tasks.
    """

    @lru_cache
    def known() -> tuple[Mapping[str, MethodInfo], Mapping[str, Task]]:
        return read_methods(), declared(task_files(files)).tasks

    def takes(method: str, column: TaskCell) -> bool:
        infos, tasks = known()
        info, task = info_of(method.partition(":")[0], infos), tasks.get(column.task)
        return info is None or task is None or task.kind in info.kinds

    return takes
