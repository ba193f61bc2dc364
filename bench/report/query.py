"""Which stored records are meant, by what a user types."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from fewbench.data.task_file import declared
from fewbench.errors import BenchError
from fewbench.registry.methods import MethodInfo, methods, task_files
from fewbench.registry.pipeline import info_of
from fewbench.registry.settings import choose_methods, split_list
from fewbench.store.cell import TaskCell, label
from fewbench.store.record import Record
from fewbench.types import CorpusRef, ModelRef, Run, Task

TOML = ".toml"

_DIGITS = 8
"""Of a revision, in a name that says which of several models it is."""

ROLES = ("student", "teacher", "corpus")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Records of these tasks (`task` or `task@source`), Ks, seeds, protocols and models; None takes
    all.

    A model fits by its folder's or its hub name's last part, with its revision (`name@12345678`) or
    without. What is made of a teacher itself, a quantised one say, has no student of its own: it
    fits whichever of the two names that teacher. Methods that use no model are always taken.
    """

    tasks: frozenset[str] | None = None
    ks: Collection[int] | None = None
    seeds: Collection[int] | None = None
    protocol: str | None = None
    student: str | None = None
    teacher: str | None = None

    def __contains__(self, record: object) -> bool:
        assert isinstance(record, Record)
        run = record.run
        return (
            (self.tasks is None or bool({run.task, f"{run.task}@{run.source}"} & self.tasks))
            and (self.ks is None or run.k in self.ks)
            and (self.seeds is None or run.seed in self.seeds)
            and self.protocol in (None, run.protocol)
            and self._has_models(run)
        )

    def _has_models(self, run: Run) -> bool:
        if run.student is None and run.teacher is not None:
            given = [name for name in (self.student, self.teacher) if name is not None]
            return not given or any(_goes_by(run.teacher, name) for name in given)
        return _goes_by(run.student, self.student) and _goes_by(run.teacher, self.teacher)


def models_apart(records: Iterable[Record]) -> list[Record]:
    """Return the records with names that tell models apart: `name@revision`, where one name stands
    for several.

    What is compared or averaged is told apart by names, and a model may be trained anew under its
    old one. Keys stay: a model is in them by its revision.
    """
    records, revisions = list(records), dict[tuple[type, str], set[str]]()
    for ref in {ref for record in records for ref in _used(record)}:
        if ref is not None:
            revisions.setdefault((type(ref), ref.name), set()).add(ref.revision)
    if all(len(found) == 1 for found in revisions.values()):
        return records
    return [_told_apart(record, revisions) for record in records]


def _told_apart(record: Record, revisions: Mapping[tuple[type, str], set[str]]) -> Record:
    """Return a record with the revision in the names that stand for several models."""
    named: dict[str, Any] = {
        role: replace(ref, name=f"{ref.name}@{ref.revision[:_DIGITS]}")
        for role, ref in zip(ROLES, _used(record), strict=True)
        if ref is not None and len(revisions[type(ref), ref.name]) > 1
    }
    return replace(record, run=replace(record.run, **named)) if named else record


def _used(record: Record) -> tuple[ModelRef | CorpusRef | None, ...]:
    """Return what a run used, by `ROLES`."""
    return record.run.student, record.run.teacher, record.run.corpus


def _goes_by(ref: ModelRef | None, given: str | None) -> bool:
    return given is None or ref is None or Path(given).name in _names(ref)


def _names(ref: ModelRef) -> set[str]:
    """Return what a model goes by: its name, whole or the last part, with its revision or without."""
    suffix = f"@{ref.revision[:_DIGITS]}"
    bare = ref.name.removesuffix(suffix)
    names = {bare, Path(bare).name}
    return names | {name + suffix for name in names}


def task_names(given: Sequence[str]) -> frozenset[str]:
    """Return the tasks that `--tasks` names: tasks, `task@source`, suites, all, and those of TOML
    files.

    Raises:
        BenchError: an unknown task or suite, or none, or a file that is none.
    """
    from fewbench.registry.tasks import choose_tasks

    names = _split(given)
    sourced = {name for name in names if "@" in name and not name.endswith(TOML)}
    plain = {task.name for task in choose_tasks([name for name in names if name not in sourced])}
    return frozenset(plain | sourced)


def own_files(given: Sequence[str] | None) -> list[Path]:
    """Return the TOML files among what `--tasks` names: they declare what their tasks are today."""
    return [Path(name) for name in _split(given or ()) if name.endswith(TOML)]


def _split(given: Sequence[str]) -> list[str]:
    """Return the names in what was given: a path may have a comma in it."""
    names: list[str] = []
    for text in given:
        path = text.endswith(TOML) and Path(text).is_file()
        names += [text] if path else split_list(text, "--tasks")
    return names


def by_label(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return records by method and settings, as typed: `ft`, `ft:lr=1e-05`."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(label(record.run.method, record.run.settings), []).append(record)
    return dict(sorted(found.items()))


def find_label(name: str, known: Iterable[str], where: str) -> str:
    """Return the stored method that a user names: with the settings as typed, by a preset, or the
    one variant there is.

    Raises:
        BenchError: none, or several.
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
        chosen = choose_methods([name])
        if (
            len(chosen) == 1
            and (found := label(chosen[0].method.name, chosen[0].settings)) in known
        ):
            return found
    raise BenchError(
        f"no stored run has the method '{name}'", where=where, allowed=known, given=name
    )


def code_of(records: Iterable[Record]) -> dict[str, str]:
    """Return the hash of the code that the records' methods have today, for those that are here."""
    known = methods()
    used = {
        name: info_of(name, known) for name in sorted({record.run.method for record in records})
    }
    return {name: info.code_hash() for name, info in used.items() if info is not None}


def count_stale(records: Sequence[Record]) -> int:
    """Return how many records were made by older code of their methods."""
    code = code_of(records)
    return sum(
        code.get(record.run.method, record.method_code) != record.method_code for record in records
    )


def who_takes_what(files: Sequence[Path] = ()) -> Callable[[str, TaskCell], bool]:
    """Return what says whether a method takes a task, as far as both are known here; they are read
    when asked.

    Args:
        files: TOML files of tasks that are the user's own.
    """

    @lru_cache
    def known() -> tuple[Mapping[str, MethodInfo], Mapping[str, Task]]:
        return methods(), declared(task_files(files)).tasks

    def takes(method: str, column: TaskCell) -> bool:
        infos, tasks = known()
        info, task = info_of(method.partition(":")[0], infos), tasks.get(column.task)
        return info is None or task is None or task.kind in info.kinds

    return takes
