"""A stored run's inputs against today's: its task's definition and rows, constants, defaults.

A record keeps hashes of what its run was made from (`fewbench.store.inputs`). If today's differ, it
does not answer today's question, and everything that shows it says so. Rows are read for this only
if they are stored beside their task's file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from fewbench.data.reader import find_file, read_rows
from fewbench.data.task_file import declared, with_source
from fewbench.data.task_prompts import with_prompt
from fewbench.errors import BenchError, how_many
from fewbench.registry.methods import MethodInfo, methods, task_files
from fewbench.registry.needs import rows_of
from fewbench.registry.pipeline import info_of
from fewbench.registry.protocols import protocols
from fewbench.store.inputs import (
    RowHashes,
    protocol_hash,
    row_hashes,
    settings_hash,
    task_hash,
    trials_hash,
    trials_of,
)
from fewbench.store.record import Record
from fewbench.store.seed_runs import HasRun
from fewbench.types import Run, Task

UNRECORDED = "not recorded"
DEFINITION, TRAIN, TEST = "definition", "train rows", "test rows"
CONSTANTS = "constants"
DEFAULTS, UNLABELED, TRIALS = "defaults", "unlabelled rows", "trials"

OF_TASK, OF_PROTOCOL, OF_METHOD = (
    (DEFINITION, TRAIN, TEST),
    (CONSTANTS,),
    (DEFAULTS, UNLABELED, TRIALS),
)
"""The parts that may differ from today's, by what they belong to."""

SAID = {
    UNRECORDED: "does not say what it was made from (a record of before schema 5)",
    DEFINITION: "made by another definition of its task",
    TRAIN: "trained on other rows",
    TEST: "tested on other rows",
    CONSTANTS: "made by other constants of its protocol",
    DEFAULTS: "made by other default settings of its method",
    TRIALS: "made with other trials or updates",
    UNLABELED: "made from other rows without labels",
}
"""Each part in words, for one record."""

EARLIER = "made from earlier versions of their {parts}: bench run makes runs of today's"
NOT_RECORDED = "do not say what they were made from (before schema 5): bench run makes runs that do"
"""The words for several records that are not of today."""

SMALL = 32 * 2**20
"""Bytes of a task's own files that are read at most, to compare rows."""


class Today:
    """The tasks, protocols and methods that are here today.

    Args:
        files: TOML files of tasks that are the user's own.
        tasks: those of the project and of the files, where they have been read already.

    Raises:
        BenchError: a mistake in one of the files.
    """

    def __init__(self, files: Iterable[Path] = (), tasks: Mapping[str, Task] | None = None) -> None:
        self.tasks = declared(task_files(files)).tasks if tasks is None else tasks
        self.methods: Mapping[str, MethodInfo] = methods()
        self._protocols = protocols()
        self._constants = {name: protocol_hash(one) for name, one in self._protocols.items()}
        self._task = cache(self._find_task)
        self._definition = cache(self._find_definition)
        self._rows = cache(self._find_rows)
        self._method = cache(lambda name: info_of(name, self.methods))
        self._settings: dict[Hashable, str] = {}
        self._changed: dict[Hashable, tuple[str, ...]] = {}

    def changed(self, record: Record) -> tuple[str, ...]:
        """Return the parts of a run's inputs that are not today's.

        Inputs from a task, protocol or method that is not available count as unchanged.
        """
        run = record.run
        if not run.inputs.known:
            return (UNRECORDED,)
        place = _place(run)
        if place not in self._changed:
            self._changed[place] = self._parts(run)
        return self._changed[place]

    def _parts(self, run: Run) -> tuple[str, ...]:
        here = self._here(run)
        recorded = {
            DEFINITION: run.inputs.task,
            TRAIN: run.inputs.train_set,
            TEST: run.inputs.test_set,
            CONSTANTS: run.inputs.protocol,
            DEFAULTS: run.inputs.settings,
            UNLABELED: run.inputs.unlabeled,
            TRIALS: run.inputs.trials,
        }
        return tuple(part for part, value in here.items() if value not in (None, recorded[part]))

    def told(self, records: Sequence[Record]) -> list[str]:
        """Say how many records are not of today, by part."""
        counts = Counter(part for record in records for part in self.changed(record))
        notes = []
        for part, count in counts.items():
            verb = "" if part == UNRECORDED else "were "
            notes.append(f"{count} of {how_many(len(records), 'run')} {verb}{earlier([part])}")
        return notes

    def unknown_tasks(self, records: Iterable[HasRun]) -> list[str]:
        """Return the tasks of some records that are not declared here."""
        return sorted({record.run.task for record in records} - self.tasks.keys())

    def with_data(self, run: Run, rows: RowHashes) -> tuple[str, ...]:
        """Return the parts of a run's data that differ from some rows."""
        found = {TRAIN: (run.inputs.train_set, rows.train), TEST: (run.inputs.test_set, rows.test)}
        if run.inputs.unlabeled:
            found[UNLABELED] = run.inputs.unlabeled, rows.unlabeled
        return tuple(part for part, (there, here) in found.items() if there != here)

    def _here(self, run: Run) -> dict[str, str | None]:
        """Return today's hashes, by part; None where there is none to compare with."""
        task = self._task(run.task, run.source, run.template)
        rows = None if task is None else self._rows(run.task, run.source)
        return {
            DEFINITION: self._definition(run.task, run.task_version, run.source, run.template),
            TRAIN: None if rows is None else rows.train,
            TEST: None if rows is None else rows.test,
            CONSTANTS: self._constants.get(run.protocol),
            DEFAULTS: self._defaults(run, task),
            UNLABELED: rows.unlabeled if rows and run.inputs.unlabeled else None,
            TRIALS: self._trials(run, task),
        }

    def _defaults(self, run: Run, task: Task | None) -> str | None:
        """Return the hash of the method's settings today; None if what it covers is not here."""
        info = self._method(run.method)
        if info is None or ("prompts" in info.needs and task is None):
            return None
        if rows_of(info, run.settings):
            return None  # the rows of another task, which are not read for this
        prompts = () if task is None else task.prompts
        place = run.method, repr(sorted(run.settings.items())), prompts
        if place not in self._settings:
            self._settings[place] = settings_hash(info, run.settings, prompts)
        return self._settings[place]

    def _trials(self, run: Run, task: Task | None) -> str | None:
        """Return the hash of the run's trials today; None if its constants are not today's."""
        protocol, method = self._protocols.get(run.protocol), self._method(run.method)
        if protocol is None or method is None or task is None or protocol.sizes:
            return None  # rates by size: a record does not state the student's
        if self._constants[run.protocol] != run.inputs.protocol:
            return None
        return trials_hash(*trials_of(protocol, task, run.k, method, run.settings))

    def _find_task(self, name: str, source: str, template: str) -> Task | None:
        """Return a task with a source and a prompt; None if it, or either of these, is not here."""
        if name not in self.tasks:
            return None
        try:
            task = with_source(self.tasks[name], source)
            return with_prompt(task, template) if template else task
        except BenchError:
            return None

    def _find_definition(self, name: str, version: int, source: str, template: str) -> str | None:
        """Return the hash of a task's definition today, empty if it has another version by now.

        It is None if the task is not available.
        """
        if name not in self.tasks:
            return None
        task = self._task(name, source, template)
        return "" if task is None or task.version != version else task_hash(task)

    def _find_rows(self, name: str, source: str) -> RowHashes | None:
        """Return the hashes of a source's rows, if they are small files beside the task's."""
        task = with_source(self.tasks[name], source)
        if task.source.root is None:
            return None
        try:
            files = [find_file(task, None, split) for split in task.source.splits]
            if sum(file.stat().st_size for file in files if file is not None) > SMALL:
                return None
            return row_hashes(read_rows(task, None, offline=True))
        except (BenchError, OSError):
            return None


def _place(run: Run) -> tuple[Hashable, ...]:
    """Return all of a run on which `Today.changed` depends: neither its split nor its teacher."""
    inputs = run.inputs
    task = run.task, run.task_version, run.source, run.template, inputs.task
    rows = inputs.train_set, inputs.test_set, inputs.unlabeled
    method = run.method, repr(sorted(run.settings.items())), inputs.settings
    return *task, *rows, *method, run.protocol, run.k, inputs.protocol, inputs.trials


def earlier(parts: Iterable[str]) -> str:
    """Say which parts of several records' inputs are not of today."""
    names = [part for part in parts if part != UNRECORDED]
    return EARLIER.format(parts=" and ".join(names)) if names else NOT_RECORDED
