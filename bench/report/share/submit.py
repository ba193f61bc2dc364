"""Check records from elsewhere against this installation's tasks, protocols and methods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewbench.data.dev_cut import DevCut
from fewbench.data.metrics import Scorer
from fewbench.data.reader import read_rows
from fewbench.data.split import make_split
from fewbench.data.task_file import with_source
from fewbench.data.task_prompts import with_prompt
from fewbench.errors import BenchError
from fewbench.refs import NAME
from fewbench.registry.pipeline import PLUS, info_of
from fewbench.registry.protocols import dev_cut_of, protocols
from fewbench.report.share.gather import FoundRecord
from fewbench.report.tables.measures import COLUMNS, Figure
from fewbench.report.today import SAID, UNRECORDED, Today
from fewbench.store.inputs import RowHashes, row_hashes
from fewbench.store.measurement import Measurement
from fewbench.store.record import Record
from fewbench.types import K, Rows, Split, Task

TOLERANCE = 1e-4
"""Stored predictions are float32."""

UNCOMMITTED = "made by a checkout with changes that are not committed"

MEASURED = ("attack", "cost")
"""The kinds of measurement that are stored; `COLUMNS` has the figures of each in tables."""


@dataclass(slots=True)
class Report:
    """The problems that keep a folder of records out, and notes with how often each applies."""

    problems: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Count a note."""
        self.notes[text] = self.notes.get(text, 0) + 1


class Checker:
    """Checks records one by one; each task's data is read once.

    Args:
        data: the data folder. Without a task's data its fingerprints and scores are not checked,
            which is noted.
        tasks: TOML files of tasks that are not the project's.
    """

    def __init__(self, data: Path | None, tasks: Sequence[Path] = ()) -> None:
        self._data = data
        self._today = Today(tasks)
        self._tasks = self._today.tasks
        self._methods = self._today.methods
        self._protocols = protocols()
        self._rows: dict[str, Rows | None] = {}
        self._row_hashes: dict[str, RowHashes] = {}
        self._splits: dict[tuple[str, K, int, DevCut], Split] = {}

    def check(self, found: Sequence[FoundRecord]) -> Report:
        """Return the problems of intact records, and notes on them."""
        report = Report()
        for candidate in found:
            for problem in self._problems(candidate, report):
                report.problems.append(f"{candidate.place}: {problem}")
        return report

    def _problems(self, found: FoundRecord, report: Report) -> list[str]:
        record = found.record
        problems = _general(record, report) + self._code(record, report)
        try:
            task = self._task(record)
        except BenchError as error:
            return [*problems, error.problem]
        if record.run.protocol not in self._protocols:
            problems.append(f"the protocol '{record.run.protocol}' is not known here")
        problems += self._inputs(record, report)
        for measured in found.measured:
            problems += _of_measurement(measured.measurement)
        return problems + self._against_data(found, task, report)

    def _inputs(self, record: Record, report: Report) -> list[str]:
        """Return the names in a record that stand for other things here."""
        changed = self._today.changed(record)
        if UNRECORDED in changed:
            report.note(f"a run that {SAID[UNRECORDED]}")
        return [f"{SAID[part]} than is here" for part in changed if part != UNRECORDED]

    def _code(self, record: Record, report: Report) -> list[str]:
        name = record.run.method
        if not all(NAME.fullmatch(step) for step in name.split(PLUS)):
            return [f"{name!r} is not a method's name"]
        info = info_of(name, self._methods)
        if info is None:
            report.note(f"the method '{name}' is not installed: its code cannot be compared")
        elif info.code_hash() != record.method_code:
            report.note(
                f"'{name}' was run by other code than is here: tables will mark it as stale"
            )
        return []

    def _task(self, record: Record) -> Task:
        run = record.run
        if run.task not in self._tasks:
            raise BenchError(f"the task '{run.task}' is not declared here")
        task = with_source(self._tasks[run.task], run.source)
        if task.version != run.task_version:
            raise BenchError(
                f"'{run.task}' is of version {task.version} here, and of {run.task_version} there"
            )
        return with_prompt(task, run.template) if run.template else task

    def _against_data(self, found: FoundRecord, task: Task, report: Report) -> list[str]:
        """Make the split again, and score the predictions again."""
        record = found.record
        rows = self._read(task, report)
        if rows is None:
            return []
        if problems := self._other_rows(record, task, rows):
            return problems
        try:
            split = self._split(record, task, rows)
            if problems := _other_fingerprints(record, split):
                return problems
            predictions = found.loaded()
            if predictions is None:
                return []
            scores = Scorer(task, rows.test).score(predictions)
        except BenchError as error:
            return [error.problem]
        return _other_scores(scores, record.scores.get("test", {}))

    def _other_rows(self, record: Record, task: Task, rows: Rows) -> list[str]:
        run = record.run
        if not run.inputs.known:
            return []
        if task.full_name not in self._row_hashes:
            self._row_hashes[task.full_name] = row_hashes(rows)
        changed = self._today.with_data(run, self._row_hashes[task.full_name])
        reported = self._today.changed(record)
        return [f"{SAID[part]} than is here" for part in changed if part not in reported]

    def _split(self, record: Record, task: Task, rows: Rows) -> Split:
        run = record.run
        cut = dev_cut_of(run.protocol)
        place = (task.full_name, run.k, run.seed, cut)
        if place not in self._splits:
            self._splits[place] = make_split(task, rows, run.k, run.seed, cut=cut)
        return self._splits[place]

    def _read(self, task: Task, report: Report) -> Rows | None:
        name = task.full_name
        if name not in self._rows:
            try:
                self._rows[name] = read_rows(task, self._data, offline=True)
            except BenchError:
                self._rows[name] = None
        if self._rows[name] is None:
            report.note(
                f"the data of {name} is not here: fingerprints and scores were not checked (--data)"
            )
        return self._rows[name]


def _general(record: Record, report: Report) -> list[str]:
    """Return the problems of a record that can be seen without anything else."""
    problems = []
    if not record.comparable:
        problems.append(
            "tested on a part of the test rows (--limit or --drop-leaks), so not comparable"
        )
    if record.environment.dirty:
        problems.append(UNCOMMITTED)
    if record.status == "ok" and record.predictions is None:
        problems.append("finished, but without predictions")
    if record.status == "ok" and not record.scores.get("test"):
        problems.append("finished, but without test scores")
    if record.environment.commit is None:
        report.note("records that do not say which commit made them")
    if record.status == "failed":
        report.note("failed runs")
    return problems


def _of_measurement(measurement: Measurement) -> list[str]:
    """Return the problems of a measurement: tables and figures read numbers from its scores."""
    what = measurement.what
    if measurement.kind not in MEASURED:
        return [f"{what}: not a kind of measurement; allowed: {', '.join(MEASURED)}"]
    problems = []
    for figure in COLUMNS[measurement.kind]:
        if not _is_finite(figure, measurement):
            problems.append(f"{what}: its {figure.name} is not a number")
    if measurement.environment.dirty:
        problems.append(f"{what}: {UNCOMMITTED}")
    return problems


def _is_finite(figure: Figure, measurement: Measurement) -> bool:
    try:
        return math.isfinite(figure.of(measurement.scores) or 0)
    except (TypeError, OverflowError):
        return False


def _other_fingerprints(record: Record, split: Split) -> list[str]:
    run = record.run
    problems = []
    for name in ("fingerprint", "test_fingerprint"):
        if getattr(run, name) != getattr(split, name):
            problems.append(f"its {name} is not that of this task, K and seed here")
    return problems


def _other_scores(scores: Mapping[str, float], stored: Mapping[str, float]) -> list[str]:
    return [
        f"its predictions give {name} {score:.4f}, but it says {stored.get(name)}"
        for name, score in scores.items()
        if name not in stored or abs(score - stored[name]) > TOLERANCE
    ]
