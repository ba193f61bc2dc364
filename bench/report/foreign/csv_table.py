"""A table of results as CSV: a line for each number, checked to the column."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from fewbench.errors import BenchError
from fewbench.io.jsonl import decode, read_bytes
from fewbench.report.foreign.rows import ForeignRow

NEEDED = ("method", "task", "metric", "value")
ALLOWED = (*NEEDED, "backbone", "K", "std", "n", "note")
UNITS = {"percent": 1.0, "share": 100.0}
"""The factor that makes hundredths of a value, by its unit."""


def read_csv(file: Path, unit: str = "percent") -> list[ForeignRow]:
    """Return the rows of a table.

    Args:
        file: UTF-8, with commas, and a first line that names the columns.
        unit: `percent` (92.3) or `share` (0.923) of values and deviations.

    Raises:
        BenchError: an unknown unit or column, a missing one, a line with too many or too few cells,
            or a number that is none.
    """
    if unit not in UNITS:
        raise BenchError(f"--unit is '{unit}'", allowed=UNITS, given=unit, fix="--unit share")
    text = decode(read_bytes(file), str(file))
    rows = list(_rows(text, str(file), UNITS[unit]))
    if unit == "percent" and rows and all(0 < abs(row.value) <= 1 for row in rows):
        raise BenchError(
            "all values are 1 or less, and hundredths are expected",
            where=rows[0].where("value"),
            fix="--unit share",
        )
    return rows


def _rows(text: str, where: str, times: float) -> Iterator[ForeignRow]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            place = f"{where}, line {reader.line_num}"
            if not header:
                header = _header(cells, place)
            elif cells:
                _expect_as_many(cells, header, place)
                yield _row(header, [cell.strip() for cell in cells], place, times)
    except csv.Error as error:
        line = f"{where}, line {reader.line_num}"
        raise BenchError(f"this is no CSV: {error}", where=line) from error
    if not header:
        raise BenchError("this file is empty", where=where, allowed=", ".join(ALLOWED))


def _header(cells: list[str], place: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    for number, name in enumerate(names, 1):
        if name not in ALLOWED or name in names[: number - 1]:
            raise BenchError(
                f"the column '{name}' is {'there twice' if name in ALLOWED else 'not known'}",
                where=f"{place}, column {number}",
                allowed=f"{', '.join(NEEDED)}; and {', '.join(ALLOWED[len(NEEDED) :])}",
                fix="commas between columns, and these names",
            )
    for name in NEEDED:
        if name not in names:
            raise BenchError(
                f"there is no column '{name}'", where=place, allowed=", ".join(ALLOWED)
            )
    return names


def _expect_as_many(cells: list[str], header: list[str], place: str) -> None:
    if len(cells) != len(header):
        raise BenchError(
            f"{len(cells)} cells, and {len(header)} columns",
            where=f"{place}, column {min(len(cells), len(header)) + 1}",
            fix="quote texts with commas in them",
        )


def _row(header: list[str], given: list[str], place: str, times: float) -> ForeignRow:
    cells = dict(zip(header, given, strict=True))
    columns = {name: f"column {number} ({name})" for number, name in enumerate(header, 1)}
    std, n = cells.get("std", ""), cells.get("n", "")
    return ForeignRow(
        place=place,
        method=cells["method"],
        task=cells["task"],
        backbone=cells.get("backbone", ""),
        k=cells.get("K", ""),
        metric=cells["metric"],
        value=times * _number(cells["value"], f"{place}, {columns['value']}"),
        std=times * _number(std, f"{place}, {columns['std']}") if std else None,
        n=_count(n, f"{place}, {columns['n']}") if n else None,
        note=cells.get("note", ""),
        columns=columns,
    )


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BenchError(f"'{text}' is not a number", where=where) from error


def _count(text: str, where: str) -> int:
    if not text.isdecimal():
        raise BenchError(f"'{text}' is not a number of runs", where=where)
    return int(text)
