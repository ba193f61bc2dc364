"""Checks of records from elsewhere against the tasks, protocols and methods that are here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewbench.data.metrics import Scorer
from fewbench.data.reader import read_rows
from fewbench.data.split import make_split
from fewbench.data.task_file import with_source
from fewbench.data.task_prompts import with_prompt
from fewbench.errors import BenchError
from fewbench.refs import NAME
from fewbench.registry.pipeline import PLUS, info_of
from fewbench.registry.protocol import protocols
from fewbench.report.share.gather import FoundRecord
from fewbench.report.tables.beyond import COLUMNS
from fewbench.report.today import SAID, UNRECORDED, Today
from fewbench.store.inputs import RowHashes, row_hashes
from fewbench.store.measurement import Measurement
from fewbench.store.record import Record
from fewbench.types import Rows, Split, Task

TOLERANCE = 1e-4
"""Stored predictions are float32."""

MEASURED = ("attack", "cost")
"""The kinds of measurement that are stored; what tables show of each is in `COLUMNS`."""


@dataclass(slots=True)
class Report:
    """What was found of a folder of records: problems keep it out, notes do not."""

    problems: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Count something that is to be said once."""
        self.notes[text] = self.notes.get(text, 0) + 1


class Checker:
    """Checks records one by one; each task's data is read once.

    Args:
        data: the data folder. Without a task's data its fingerprints and scores are taken as they
            are, and said so.
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
        self._splits: dict[tuple[str, int, int], Split] = {}

    def check(self, found: Sequence[FoundRecord]) -> Report:
        """Return what is wrong with records that are whole, and what is to be known of them."""
        report = Report()
        for one in found:
            for problem in self._problems(one, report):
                report.problems.append(f"{one.place}: {problem}")
        return report

    def _problems(self, one: FoundRecord, report: Report) -> list[str]:
        record = one.record
        problems = [
            problem for check in (_general, self._code) for problem in check(record, report)
        ]
        try:
            task = self._task(record)
        except BenchError as error:
            return [*problems, error.problem]
        if record.run.protocol not in self._protocols:
            problems.append(f"the protocol '{record.run.protocol}' is not known here")
        problems += self._inputs(record, report)
        problems += [
            problem for each in one.measured for problem in _of_measurement(each.measurement)
        ]
        return problems + self._against_data(one, task, report)

    def _inputs(self, record: Record, report: Report) -> list[str]:
        """What it was made from that is not what its names stand for here."""
        changed = self._today.changed(record)
        if UNRECORDED in changed:
            report.note(f"a run that {SAID[UNRECORDED]}")
        return [f"{SAID[part]} than is here" for part in changed if part != UNRECORDED]

    def _code(self, record: Record, report: Report) -> list[str]:
        name = record.run.method
        if not all(NAME.fullmatch(step) for step in name.split(PLUS)):
            return [f"{name!r} is no method's name"]
        info = info_of(name, self._methods)
        if info is None:
            report.note(
                f"the method '{name}' is not here: whether its code is of today cannot be told"
            )
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

    def _against_data(self, one: FoundRecord, task: Task, report: Report) -> list[str]:
        """Make the split again, and score the predictions again."""
        run = one.record.run
        rows = self._read(task, report)
        if rows is None:
            return []
        if run.inputs.known and (parts := self._today.with_data(run, self._hashes(task, rows))):
            told = self._today.changed(one.record)
            return [f"{SAID[part]} than is here" for part in parts if part not in told]
        place = (task.full_name, run.k, run.seed)
        try:
            if place not in self._splits:
                self._splits[place] = make_split(task, rows, run.k, run.seed)
        except BenchError as error:
            return [error.problem]
        split = self._splits[place]
        here = {"fingerprint": split.fingerprint, "test_fingerprint": split.test_fingerprint}
        others = [name for name, value in here.items() if getattr(run, name) != value]
        if others:
            return [f"its {name} is not that of this task, K and seed here" for name in others]
        predictions = one.loaded()
        if predictions is None:
            return []
        try:
            scores = Scorer(task, rows.test).score(predictions)
        except BenchError as error:
            return [error.problem]
        return _unlike(scores, one.record.scores.get("test", {}))

    def _hashes(self, task: Task, rows: Rows) -> RowHashes:
        if task.full_name not in self._row_hashes:
            self._row_hashes[task.full_name] = row_hashes(rows)
        return self._row_hashes[task.full_name]

    def _read(self, task: Task, report: Report) -> Rows | None:
        if task.full_name not in self._rows:
            try:
                self._rows[task.full_name] = read_rows(task, self._data, offline=True)
            except BenchError:
                self._rows[task.full_name] = None
        if self._rows[task.full_name] is None:
            report.note(
                f"the data of {task.full_name} is not here: fingerprints and scores were not checked (--data)"
            )
        return self._rows[task.full_name]


def _general(record: Record, report: Report) -> list[str]:
    """What can be told of a record by itself."""
    wrong: Mapping[str, bool] = {
        "tested on a part of the test rows (--limit or --drop-leaks), so not comparable": not record.comparable,
        "made by a checkout with changes that are not committed": bool(record.environment.dirty),
        "finished, but without predictions": record.status == "ok" and record.predictions is None,
        "finished, but without test scores": record.status == "ok"
        and not record.scores.get("test"),
    }
    if record.environment.commit is None:
        report.note("records that do not say which commit made them")
    if record.status == "failed":
        report.note("failed runs")
    return [text for text, holds in wrong.items() if holds]


def _of_measurement(measurement: Measurement) -> list[str]:
    """What is wrong with a measurement: tables and figures read numbers from its scores."""
    what = measurement.what
    if measurement.kind not in MEASURED:
        return [f"{what}: nothing of that kind is measured here"]
    problems = []
    for figure in COLUMNS[measurement.kind]:
        try:
            finite = math.isfinite(figure.of(measurement.scores) or 0)
        except (TypeError, OverflowError):
            finite = False
        if not finite:
            problems.append(f"{what}: its {figure.name} is no number")
    if measurement.environment.dirty:
        problems.append(f"{what}: made by a checkout with changes that are not committed")
    return problems


def _unlike(scores: Mapping[str, float], stored: Mapping[str, float]) -> list[str]:
    return [
        f"its predictions give {name} {score:.4f}, and it says {stored.get(name)}"
        for name, score in scores.items()
        if name not in stored or abs(score - stored[name]) > TOLERANCE
    ]
