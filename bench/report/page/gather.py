"""The page's data: blocks of cells as in tables, all runs, methods, suites, published rows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from fewbench.data.task_file import Declared
from fewbench.errors import BenchError
from fewbench.registry.methods import MethodInfo
from fewbench.registry.pipeline import pipeline
from fewbench.registry.protocol import Protocol
from fewbench.report.declarations import declaration
from fewbench.report.page.beyond import beyond
from fewbench.report.page.blocks import CellNumbers, block_data
from fewbench.report.page.data import (
    ColumnData,
    MethodData,
    ModelData,
    PageData,
    RowData,
    SuiteData,
)
from fewbench.report.page.models import models_of
from fewbench.report.page.names import PageNames
from fewbench.report.page.panels import Judge, Panels
from fewbench.report.page.published import rows as published_rows
from fewbench.report.page.runs import RunRows, SharedValues, Stored
from fewbench.report.published import Published
from fewbench.report.query import models_apart
from fewbench.report.tables.blocks import Block, CellPlace, build
from fewbench.report.tables.blocks import places as places_of
from fewbench.report.tables.measures import loyalties, named
from fewbench.report.today import Today
from fewbench.store.damage import Damage
from fewbench.store.measurement import Shelf
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Json

MOST = 20_000
"""The number of runs above which the page leaves out trials, warnings and details.

It links to every record all the same.
"""


def read(store: Store) -> tuple[list[Stored], list[Damage]]:
    """Return all intact records with their files, and the damage of the others."""
    damaged_measurements: list[Damage] = []
    records = list(store.filed() if store.count() <= MOST else store.placed())
    shelf = Shelf(store, damaged_measurements.append)
    stored = [Stored(file, record, _measured(shelf, record)) for file, record in records]
    apart = models_apart(run.record for run in stored)
    known = {record.run.key: record for record in apart}
    runs = []
    for run, record in zip(stored, apart, strict=True):
        loyalty = loyalties(record, known, store) if record.status == "ok" else None
        measured = run.measured if loyalty is None else {**run.measured, "loyalty": loyalty}
        runs.append(Stored(run.file, record, measured))
    return runs, [*store.damaged, *damaged_measurements]


def _measured(shelf: Shelf, record: Record) -> dict[str, Json]:
    """Return the scores of a record's measurements, by kind and name.

    Measurements of earlier predictions of the run are left out.
    """
    scores = {}
    for measurement in shelf.of(record):
        name = "-".join(filter(None, [measurement.kind, named(measurement)]))
        scores[name] = dict(measurement.scores)
    return scores


def gather(
    stored: Sequence[Stored],
    damaged: Sequence[Damage],
    published: Iterable[Published],
    known: Declared,
    methods: Mapping[str, MethodInfo],
    protocols: Mapping[str, Protocol],
    folder: Path,
    judge: Judge,
    today: Today,
    blocks: Sequence[Block],
    described: Mapping[str, ModelData] | None = None,
) -> PageData:
    """Return the page's data.

    Args:
        stored: the records.
        damaged: files that could not be read.
        published: numbers of the papers' tables.
        known: tasks and suites.
        methods: those that are installed, by name.
        protocols: by name.
        folder: of the page; links to records are relative to it.
        judge: compares methods on the tasks that they share.
        today: finds the records that are outdated.
        blocks: those of the records (`board_blocks`).
        described: models that are not the package's, by name.
    """
    records = [run.record for run in stored]
    methods = _with_pipelines(records, methods)
    code = _code(records, methods)
    numbers = CellNumbers(blocks)
    names = PageNames(blocks)
    places = places_of(records, today.changed)
    placed = list(zip(records, places, strict=True))
    cells = {}
    methods_of = {}
    by_place: dict[CellPlace, list[Record]] = {}
    for record, place in placed:
        cells[record.run.key] = numbers.of(place)
        methods_of[place.row] = record.run.method
        by_place.setdefault(place, []).append(record)
    suites = _suites(known)
    panels = Panels(numbers, by_place, methods_of, judge)
    values = SharedValues()
    runs = RunRows(cells, code, values, folder)
    rows = [names.row(row, methods_of[row]) for row in numbers.rows]
    return {
        "version": version("fewbench"),
        "short": MOST if len(stored) > MOST else 0,
        "suites": suites,
        "columns": _columns(names, numbers, known),
        "rows": rows,
        "blocks": [
            {
                **block_data(block, names.protocol(block.terms), numbers, by_place),
                "chance": panels.chance_columns(block),
            }
            for block in blocks
        ],
        "panels": panels.data(blocks, suites),
        "beyond": beyond((cells[run.record.run.key], run.measured) for run in stored),
        "published": published_rows(published, _headlines(known)),
        "methods": _methods(methods, code),
        "runs": runs.data(stored),
        "damaged": _damaged(damaged, folder),
        "values": values.all,
        "models": models_of(_models(rows), described or {}),
        "protocols": {name: protocol.title for name, protocol in protocols.items()},
        "pages": {"methods": {}, "papers": {}},
    }


def board_blocks(
    stored: Sequence[Stored],
    methods: Mapping[str, MethodInfo],
    protocols: Mapping[str, Protocol],
    today: Today,
) -> list[Block]:
    """Return the cells of some records, in the blocks of the board."""
    records = [run.record for run in stored]
    code = _code(records, _with_pipelines(records, methods))
    return build(records, code, _ddofs(protocols), today.changed)


def _with_pipelines(
    records: Iterable[Record], methods: Mapping[str, MethodInfo]
) -> dict[str, MethodInfo]:
    """Return methods and those pipelines of theirs that records are of."""
    used = {record.run.method for record in records}
    return {**methods, **_pipelines(used - methods.keys(), methods)}


def _code(records: Iterable[Record], methods: Mapping[str, MethodInfo]) -> dict[str, str]:
    """Return the hash of today's code of each method that records are of."""
    used = {record.run.method for record in records}
    return {name: methods[name].code_hash() for name in sorted(used & methods.keys())}


def _pipelines(names: Iterable[str], methods: Mapping[str, MethodInfo]) -> dict[str, MethodInfo]:
    """Return those names that are pipelines of installed steps."""
    pipelines: dict[str, MethodInfo] = {}
    for name in sorted(names):
        with contextlib.suppress(BenchError):
            pipelines[name] = pipeline(name, methods)
    return pipelines


def _ddofs(protocols: Mapping[str, Protocol]) -> dict[str, int]:
    return {name: protocol.ddof for name, protocol in protocols.items()}


def _headlines(known: Declared) -> dict[str, str]:
    return {name: task.metric for name, task in known.tasks.items()}


def _suites(known: Declared) -> list[SuiteData]:
    return [
        {"name": suite.name, "title": suite.title, "tasks": suite.tasks}
        for suite in known.suites.values()
    ]


def _columns(names: PageNames, numbers: CellNumbers, known: Declared) -> list[ColumnData]:
    return [names.column(column, _title(known, column.task)) for column in numbers.columns]


def _title(known: Declared, task: str) -> str:
    return known.tasks[task].title if task in known.tasks else ""


def _models(rows: Iterable[RowData]) -> set[str]:
    """Return the names of all students and teachers."""
    return {row["student"] for row in rows} | {row["teacher"] for row in rows}


def _damaged(files: Iterable[Damage], folder: Path) -> list[str]:
    return [f"{os.path.relpath(file.path, folder)}: {file.reason}" for file in files]


def _methods(methods: Mapping[str, MethodInfo], code: Mapping[str, str]) -> dict[str, MethodData]:
    return {name: _method(info, code) for name, info in methods.items()}


def _method(info: MethodInfo, code: Mapping[str, str]) -> MethodData:
    declared = declaration(info)
    return {
        "summary": info.summary,
        "paper": info.paper,
        "needs": info.needs,
        "kinds": info.kinds,
        "backbones": info.backbones,
        "settings": [(s.name, s.default, s.allowed, s.searched) for s in declared.settings],
        "presets": {preset.typed: preset.settings for preset in declared.presets},
        "code": code.get(info.name),
    }
