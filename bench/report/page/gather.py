"""What the page shows, as plain data: blocks of cells as in tables, every run, methods, suites,
published rows.

Runs are rows under common field names, and what many of them share (settings, environments, label
words) stands once, in `values`, and goes by its number: ten thousand records are a few megabytes.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from fewbench.data.task_file import Declared
from fewbench.errors import BenchError
from fewbench.registry.methods import MethodInfo
from fewbench.registry.pipeline import pipeline
from fewbench.registry.protocol import Protocol
from fewbench.report.page.beyond import beyond
from fewbench.report.page.called import Called
from fewbench.report.page.published import rows as published_rows
from fewbench.report.published import Published
from fewbench.report.query import models_apart
from fewbench.report.tables.beyond import loyalties, named
from fewbench.report.tables.blocks import Block, CellPlace, build
from fewbench.report.tables.blocks import places as places_of
from fewbench.report.today import UNRECORDED, Today
from fewbench.store.damage import Damage
from fewbench.store.measurement import Shelf
from fewbench.store.record import Record
from fewbench.store.store import Store

FIELDS = (
    "block row column method task k seed key file status error stale dev test settings trials chosen "
    "details environment seconds memory measured warnings"
).split()
"""What is told of each run, in this order."""

MOST = 20_000
"""Records of which the page tells all; of more it tells no trials, no warnings and no details, but
leads to each.
"""

_LONGEST = 400
"""Characters of a detail that the page shows; the record has it whole."""


class Stored(NamedTuple):
    """A record, its file, and what was measured of it afterwards, by name: cost, an attack,
    loyalty.
    """

    file: Path
    record: Record
    measured: Mapping[str, Any]


def read(store: Store) -> tuple[list[Stored], list[Damage]]:
    """Return all whole records with their files, and what is wrong with the others."""
    damaged: list[Damage] = []
    whole = list(store.filed() if store.count() <= MOST else store.placed())
    shelf = Shelf(store, damaged.append)
    stored = [Stored(file, record, _measured(shelf, record)) for file, record in whole]
    damaged = [*store.damaged, *damaged]
    apart = models_apart(one.record for one in stored)
    stored = [one._replace(record=record) for one, record in zip(stored, apart, strict=True)]
    known = {record.run.key: record for record in apart}
    for number, one in enumerate(stored):
        if one.record.status == "ok" and (loyal := loyalties(one.record, known, store)) is not None:
            stored[number] = one._replace(measured={**one.measured, "loyalty": loyal})
    return stored, [*store.damaged, *damaged]


def gather(
    stored: Sequence[Stored],
    damaged: Sequence[Damage],
    published: Iterable[Published],
    known: Declared,
    methods: Mapping[str, MethodInfo],
    protocols: Mapping[str, Protocol],
    folder: Path,
    today: Today | None = None,
) -> dict[str, Any]:
    """Return the page's data.

    Args:
        stored: the records.
        damaged: files that could not be read.
        published: numbers of the papers' tables.
        known: tasks and suites.
        methods: those that are installed, by name.
        protocols: by name.
        folder: where the page will stand; links to records are relative to it.
        today: tells what of a record is not of today; default by the project's own tasks.
    """
    methods = {
        **methods,
        **_pipelines({one.record.run.method for one in stored} - methods.keys(), methods),
    }
    code = {
        name: methods[name].code_hash()
        for name in sorted({s.record.run.method for s in stored} & methods.keys())
    }
    today = today or Today()
    records = [one.record for one in stored]
    blocks = build(
        records, code, {name: one.ddof for name, one in protocols.items()}, today.changed
    )
    columns = sorted({column for block in blocks for column in block.columns})
    rows = sorted({row for block in blocks for row in block.rows})
    places: dict[str, dict[Any, int]] = {
        "block": {block.terms: n for n, block in enumerate(blocks)},
        "column": {c: n for n, c in enumerate(columns)},
        "row": {r: n for n, r in enumerate(rows)},
    }
    values = Values()
    stands = dict(
        zip((record.run.key for record in records), places_of(records, today.changed), strict=True)
    )
    runs = _Runs(stands, places, code, values, folder)
    methods_of = {stands[record.run.key].row: record.run.method for record in records}
    called = Called(blocks)
    return {
        "version": version("fewbench"),
        "short": MOST if len(stored) > MOST else 0,
        "suites": [
            {"name": s.name, "title": s.title, "tasks": s.tasks} for s in known.suites.values()
        ],
        "columns": [called.column(column, _title(known, column.task)) for column in columns],
        "rows": [called.row(row, methods_of[row]) for row in rows],
        "blocks": [_block(block, called.protocol(block.terms), places) for block in blocks],
        "beyond": beyond((runs.cell(one.record), one.measured) for one in stored),
        "published": published_rows(
            published, {name: task.metric for name, task in known.tasks.items()}
        ),
        "methods": {name: _method(info, code) for name, info in methods.items()},
        "runs": {"fields": FIELDS, "rows": [runs.row(one) for one in stored]},
        "damaged": [f"{os.path.relpath(d.path, folder)}: {d.reason}" for d in damaged],
        "values": values.all,
    }


class Values:
    """Values that many runs share, each once, by number."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        """Return the number of a value, the same for equal ones."""
        text = json.dumps(value, sort_keys=True, default=str)
        if text not in self._numbers:
            self._numbers[text] = len(self.all)
            self.all.append(json.loads(text))
        return self._numbers[text]


class _Runs:
    """Makes a row of `FIELDS` of each record."""

    def __init__(
        self,
        stands: Mapping[str, CellPlace],
        places: Mapping[str, Mapping[Any, int]],
        code: Mapping[str, str],
        values: Values,
        folder: Path,
    ) -> None:
        self.stands, self.places = stands, places
        self.code, self.values, self.folder = code, values, folder.absolute()

    def cell(self, record: Record) -> tuple[int, int, int]:
        """Return the numbers of the block, row and column that a record stands in."""
        place = self.stands[record.run.key]
        return (
            self.places["block"][place.terms],
            self.places["row"][place.row],
            self.places["column"][place.column],
        )

    def row(self, stored: Stored) -> list[Any]:
        record, run, number = stored.record, stored.record.run, self.values.number
        block, row, column = self.cell(record)
        metric = str(record.selection.get("metric"))  # a failed run has neither it nor scores
        told = {
            "block": block,
            "row": row,
            "column": column,
            "method": run.method,
            "task": f"{run.task}@{run.source}" + (f"+{run.template}" if run.template else ""),
            "k": run.k,
            "seed": run.seed,
            "key": run.key,
            "file": link(stored.file, self.folder),
            "status": record.status,
            "error": record.error,
            "stale": int(self.code.get(run.method, record.method_code) != record.method_code),
            "dev": _percent(record.scores.get("dev", {}).get(metric)),
            "test": _percent(record.scores.get("test", {}).get(metric)),
            "settings": number({**run.settings, **record.selection.get("settings", {})}),
            "trials": [
                [number(t["settings"]), _percent(t["dev"].get(metric)), t.get("step"), t["seed"]]
                for t in record.selection.get("trials", ())
            ],
            "chosen": record.selection.get("trial"),
            "details": number(_told(record.details)),
            "environment": number(
                {name: value for name, value in record.environment.items() if name != "load"}
            ),
            "seconds": record.timing.get("total_seconds"),
            "memory": record.timing.get("peak_memory_mib"),
            "measured": number(stored.measured) if stored.measured else None,
            "warnings": record.warnings,
        }
        return [told[name] for name in FIELDS]


def link(file: Path, folder: Path) -> str:
    """Return a link from a page in `folder` to a file: relative, and quoted, so that no name can be
    a scheme.
    """
    return _link(file.parent, folder) + quote(file.name, errors="surrogateescape")


def _measured(shelf: Shelf, record: Record) -> dict[str, Any]:
    """Return the scores of a record's measurements that are of its present predictions, by kind and
    name.
    """
    fitting = shelf.of(record)
    return {"-".join(filter(None, [one.kind, named(one)])): dict(one.scores) for one in fitting}


@lru_cache
def _link(place: Path, folder: Path) -> str:
    """Return a link to a folder, which many files share."""
    path = Path(os.path.relpath(place.absolute(), folder)).as_posix()
    there = path if path == ".." or path.startswith("../") else f"./{path}"
    return quote(there, safe="/", errors="surrogateescape") + "/"


def _pipelines(names: Iterable[str], methods: Mapping[str, MethodInfo]) -> dict[str, MethodInfo]:
    """Return those of some names that are pipelines of steps that are installed."""
    found: dict[str, MethodInfo] = {}
    for name in sorted(names):
        with contextlib.suppress(BenchError):
            found[name] = pipeline(name, methods)
    return found


def _block(block: Block, protocol: str, places: Mapping[str, Mapping[Any, int]]) -> dict[str, Any]:
    return {
        "k": block.terms.k,
        "protocol": protocol,
        "limit": block.terms.limit,
        "drop_leaks": block.terms.drop_leaks,
        "ddof": block.ddof,
        "cells": [
            [
                places["row"][row],
                places["column"][column],
                _percent(cell.mean if cell.n else None),
                _percent(cell.std(block.ddof) if cell.n else None),
                cell.n,
                cell.failed,
                cell.stale,
                len(cell.codes) > 1,
                [
                    f"seed {seed}: {' and '.join(k[:8] for k in keys)}"
                    for seed, keys in cell.doubled.items()
                ],
                [part for part in cell.changed if part != UNRECORDED],
            ]
            for (row, column), cell in block.cells.items()
        ],
    }


def _method(info: MethodInfo, code: Mapping[str, str]) -> dict[str, Any]:
    return {
        "summary": info.summary,
        "paper": info.paper,
        "needs": info.needs,
        "kinds": info.kinds,
        "backbones": info.backbones,
        "settings": [
            [name, info.annotations.get(name, ""), repr(value), _searched(info, name)]
            for name, value in info.settings.items()
        ],
        "presets": {name: dict(preset) for name, preset in info.presets.items()},
        "code": code.get(info.name),
    }


def _searched(info: MethodInfo, setting: str) -> str:
    if setting in info.grid:
        return ", ".join(map(repr, info.grid[setting]))
    return "by the protocol's grid" if setting in info.search else ""


def _title(known: Declared, task: str) -> str:
    return known.tasks[task].title if task in known.tasks else ""


def _told(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details that are short enough to show; curves and losses are not."""
    return {
        name: value
        for name, value in details.items()
        if name not in ("curve", "losses") and len(json.dumps(value, default=str)) <= _LONGEST
    }


def _percent(score: float | None) -> float | None:
    return None if score is None else round(100 * score, 2)
