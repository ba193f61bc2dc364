"""What the page shows, as plain data: blocks of cells as in tables, every run, methods, suites, published rows.

Runs are rows under common field names, and what many of them share (settings, environments, label words) stands once,
in `values`, and goes by its number: ten thousand records are a few megabytes.
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

from fewbench.cell import asked, label
from fewbench.damage import Damage
from fewbench.declare import Declared
from fewbench.errors import BenchError
from fewbench.measurement import Shelf
from fewbench.page.beyond import beyond
from fewbench.page.published import rows as published_rows
from fewbench.pipeline import pipeline
from fewbench.protocol import Protocol
from fewbench.published import Published
from fewbench.record import Record
from fewbench.registry import MethodInfo
from fewbench.selection import models_apart
from fewbench.store import Store
from fewbench.tables.beyond import loyalties, named
from fewbench.tables.blocks import Block, Column, build
from fewbench.types import Run

FIELDS = (
    "block row column method task k seed key file status error stale dev test settings trials chosen "
    "details environment seconds memory measured warnings"
).split()
"""What is told of each run, in this order."""

MOST = 20_000
"""Records of which the page tells all; of more it tells no trials, no warnings and no details, but leads to each."""

_LONGEST = 400
"""Characters of a detail that the page shows; the record has it whole."""


class Stored(NamedTuple):
    """A record, its file, and what was measured of it afterwards, by name: cost, an attack, loyalty."""

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
    """
    methods = {**methods, **_pipelines({one.record.run.method for one in stored} - methods.keys(), methods)}
    code = {name: methods[name].code_hash() for name in sorted({s.record.run.method for s in stored} & methods.keys())}
    blocks = build((s.record for s in stored), code, {name: one.ddof for name, one in protocols.items()})
    columns = sorted({column for block in blocks for column in block.columns})
    rows = sorted({row for block in blocks for row in block.rows})
    places: dict[str, dict[Any, int]] = {
        "column": {c: n for n, c in enumerate(columns)},
        "row": {r: n for n, r in enumerate(rows)},
    }
    values = Values()
    runs = _Runs(blocks, columns, rows, code, values, folder)
    names = {runs.place(one.record.run): one.record.run.method for one in stored}
    return {
        "version": version("fewbench"),
        "short": MOST if len(stored) > MOST else 0,
        "suites": [{"name": s.name, "title": s.title, "tasks": s.tasks} for s in known.suites.values()],
        "columns": [_column(known, column) for column in columns],
        "rows": [{**row._asdict(), "label": row.method, "method": names[number]} for number, row in enumerate(rows)],
        "blocks": [_block(block, places) for block in blocks],
        "beyond": beyond((runs.cell(one.record), one.measured) for one in stored),
        "published": published_rows(published, {name: task.metric for name, task in known.tasks.items()}),
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
        blocks: Sequence[Block],
        columns: Sequence[Any],
        rows: Sequence[Any],
        code: Mapping[str, str],
        values: Values,
        folder: Path,
    ) -> None:
        self.blocks = {(b.k, b.protocol, b.limit, b.drop_leaks): n for n, b in enumerate(blocks)}
        self.columns = {(c.task, c.source, c.version, c.asked, c.template): n for n, c in enumerate(columns)}
        self.rows = {(*row, "")[:3]: n for n, row in enumerate(rows)}
        self.code, self.values, self.folder = code, values, folder.absolute()

    def place(self, run: Run) -> int:
        """Return the number of the row that a run stands in."""
        row = label(run.method, run.settings), run.student.name if run.student else ""
        taught = " ".join(ref.name for ref in (run.teacher, run.corpus) if ref)  # names a row where there are several
        return self.rows[(*row, taught) if (*row, taught) in self.rows else (*row, "")]

    def cell(self, record: Record) -> tuple[int, int, int]:
        """Return the numbers of the block, row and column that a record stands in."""
        run = record.run
        test = asked(record)
        return (
            self.blocks[run.k, run.protocol, run.limit, run.drop_leaks],
            self.place(run),
            self.columns[run.task, run.source, run.task_version, test, run.template],
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
            "environment": number({name: value for name, value in record.environment.items() if name != "load"}),
            "seconds": record.timing.get("total_seconds"),
            "memory": record.timing.get("peak_memory_mib"),
            "measured": number(stored.measured) if stored.measured else None,
            "warnings": record.warnings,
        }
        return [told[name] for name in FIELDS]


def link(file: Path, folder: Path) -> str:
    """Return a link from a page in `folder` to a file: relative, and quoted, so that no name can be a scheme."""
    return _link(file.parent, folder) + quote(file.name, errors="surrogateescape")


def _measured(shelf: Shelf, record: Record) -> dict[str, Any]:
    """Return the scores of a record's measurements that are of its present predictions, by kind and name."""
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


def _block(block: Block, places: Mapping[str, Mapping[Any, int]]) -> dict[str, Any]:
    return {
        "k": block.k,
        "protocol": block.protocol,
        "limit": block.limit,
        "drop_leaks": block.drop_leaks,
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


def _column(known: Declared, column: Column) -> dict[str, Any]:
    return {**column._asdict(), "headline": column.headline, "title": _title(known, column.task)}


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
