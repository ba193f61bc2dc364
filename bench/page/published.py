"""Numbers printed in papers, as rows of the page: `<results>/published/*.csv`, one file a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewbench.errors import BenchError

COLUMNS = ("paper", "table", "group", "row", "method", "task", "backbone", "K", "metric", "value", "std", "n", "note")


@dataclass(frozen=True, slots=True)
class Published:
    """One number of one table.

    `row` and `group` are as printed, `method` and `task` ours (empty where we have none), `k` examples a label, another
    amount in words, or empty where none is used. `value` and `std` are in hundredths.
    """

    paper: str
    table: str
    group: str
    row: str
    method: str
    task: str
    backbone: str
    k: str
    metric: str
    value: float
    std: float | None
    n: int | None
    note: str


def read_published(folder: Path) -> list[Published]:
    """Return all numbers of a folder, by file and line; none where there is no folder.

    Raises:
        BenchError: a file that lacks a column or is no CSV, or a value that is no number.
    """
    return [number for file in sorted(folder.glob("*.csv")) for number in _read(file)]


def _read(file: Path) -> Iterator[Published]:
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise BenchError(f"lacks the column '{missing[0]}'", where=str(file), allowed=", ".join(COLUMNS))
            for line in reader:
                cells = {name: line[name] or "" for name in COLUMNS}
                texts = {name.lower(): cells[name] for name in COLUMNS if name not in ("value", "std", "n")}
                where = f"{file}, line {reader.line_num}"
                value, std, n = (_number(cells[name], where) for name in ("value", "std", "n"))
                if value is None:
                    raise BenchError("a number without value", where=where)
                yield Published(**texts, value=value, std=std, n=None if n is None else int(n))
    except (csv.Error, UnicodeDecodeError) as error:
        raise BenchError(f"not CSV in UTF-8: {error}", where=str(file)) from error


def _number(text: str, where: str) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BenchError(f"'{text}' is no number", where=where)
    return number


def rows(numbers: Iterable[Published], headlines: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one row a paper, table, line, backbone and K, with its cells: [task, metric, value, std, n, note].

    Args:
        numbers: of any tables.
        headlines: the headline metric of each task; what is of another metric, or of no task of ours, is left out.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in numbers:
        if headlines.get(one.task) != one.metric:
            continue
        place = (one.paper, one.table, one.group, one.row, one.backbone, one.k)
        told = {
            "paper": f"{one.paper} Table {one.table}",
            "label": ": ".join(filter(None, (one.group, one.row))),
            "method": one.method,
            "backbone": one.backbone,
            "k": one.k,
            "cells": [],
        }
        row = found.setdefault(place, told)
        row["cells"].append([one.task, one.metric, one.value, one.std, one.n, one.note])
    return list(found.values())
