"""The page's runs, as rows under common field names.

Values that many runs share (settings, environments, label words) are stored once and referred to by
number: ten thousand records take a few megabytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from fewbench.report.page.data import PageCell, RunRow, RunsData, TrialRow, percent
from fewbench.report.published import shown_k
from fewbench.store.record import Record
from fewbench.types import Json, Settings

_LONGEST = 400
"""Characters of a detail that the page shows; the record has all of them."""


class Stored(NamedTuple):
    """A record, its file, and the scores of its measurements: cost, attacks, loyalty."""

    file: Path
    record: Record
    measured: Mapping[str, Settings]


class SharedValues:
    """Values that many runs share; equal values have one number."""

    def __init__(self) -> None:
        self.all: list[object] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: object) -> int:
        """Return the number of a value."""
        text = json.dumps(value, sort_keys=True, default=str)
        if text not in self._numbers:
            self._numbers[text] = len(self.all)
            self.all.append(json.loads(text))
        return self._numbers[text]


class RunRows:
    """Makes the rows of runs.

    Args:
        cells: each run's cell, by its key.
        code: the hash of each method's code today.
        values: where shared values are put.
        folder: of the page, which links are relative to.
    """

    def __init__(
        self,
        cells: Mapping[str, PageCell],
        code: Mapping[str, str],
        values: SharedValues,
        folder: Path,
    ) -> None:
        self._cells = cells
        self._code = code
        self._values = values
        self._folder = folder.absolute()

    def data(self, stored: Iterable[Stored]) -> RunsData:
        """Return the rows of some runs."""
        return {"fields": RunRow._fields, "rows": [self._row(run) for run in stored]}

    def _row(self, stored: Stored) -> RunRow:
        record = stored.record
        run = record.run
        cell = self._cells[run.key]
        number = self._values.number
        return RunRow(
            block=cell.block,
            row=cell.row,
            column=cell.column,
            method=run.method,
            task=f"{run.task}@{run.source}" + (f"+{run.template}" if run.template else ""),
            k=shown_k(run.k),
            seed=run.seed,
            key=run.key,
            file=link(stored.file, self._folder),
            status=record.status,
            error=record.error,
            stale=int(self._code.get(run.method, record.method_code) != record.method_code),
            dev=_score(record, "dev"),
            test=_score(record, "test"),
            settings=number({**run.settings, **(record.selection.settings or {})}),
            trials=self._trials(record),
            chosen=record.selection.trial,
            details=number(_short_details(record.details)),
            environment=number(_environment(record)),
            seconds=record.timing.total_seconds,
            memory=record.timing.peak_memory_mib,
            measured=number(stored.measured) if stored.measured else None,
            warnings=record.warnings,
            date=_day(record),
        )

    def _trials(self, record: Record) -> list[TrialRow]:
        metric = str(record.selection.metric)
        rows = []
        for trial in record.selection.trials or ():
            settings = self._values.number(trial.settings)
            dev = percent(trial.dev.get(metric))
            rows.append(TrialRow(settings, dev, trial.step, trial.seed))
        return rows


def link(file: Path, folder: Path) -> str:
    """Return a link from a page in `folder` to a file.

    It is relative and quoted, so that no name can be a scheme.
    """
    return _folder_link(file.parent, folder) + quote(file.name, errors="surrogateescape")


@lru_cache
def _folder_link(place: Path, folder: Path) -> str:
    """Return a link to a folder, which many files share."""
    path = Path(os.path.relpath(place.absolute(), folder)).as_posix()
    relative = path if path == ".." or path.startswith("../") else f"./{path}"
    return quote(relative, safe="/", errors="surrogateescape") + "/"


def _score(record: Record, part: str) -> float | None:
    """Return the headline score in percent; a failed run may have neither metric nor scores."""
    metric = str(record.selection.metric)
    return percent(record.scores.get(part, {}).get(metric))


def _day(record: Record) -> str:
    """Return the day on which a run finished; empty where its record does not say."""
    return (record.timing.finished or str(record.environment.extra.get("date", "")))[:10]


def _environment(record: Record) -> Json:
    """Return a run's environment without the load, in which equal machines differ."""
    return replace(record.environment, load=None).to_json()


def _short_details(details: Settings) -> Json:
    """Return the details that are short enough to show; curves and losses are not."""
    short = {}
    for name, value in details.items():
        if name in ("curve", "losses"):
            continue
        if _is_short(value):
            short[name] = value
    return short


def _is_short(value: object) -> bool:
    is_plain = isinstance(value, bool | float)  # most are, and need no text to be measured
    return is_plain or len(json.dumps(value, default=str)) <= _LONGEST
