"""Tables by choice of rows and columns: a flat list of cells in, grids of text out.

What is neither in the rows nor in the columns and varies makes tables of its own; so do a limit and
left-out leaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from fewbench.errors import BenchError
from fewbench.report.tables.entry import AXES, Entry
from fewbench.report.tables.grid import Grid
from fewbench.report.tables.names import protocol_names, telling
from fewbench.report.tables.table import Explain, ResultTable

ROWS, COLUMNS = ("method", "student"), ("task",)


def check_axes(rows: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse axes that there are not, or one that is asked for twice.

    Raises:
        BenchError: such an axis, or none.
    """
    for option, names in (("--rows", rows), ("--columns", columns)):
        for name in names or [""]:
            if name not in AXES:
                raise BenchError(
                    f"{option} is '{name}'",
                    allowed=AXES,
                    given=name,
                    fix="--rows method --columns k",
                )
    if twice := sorted(name for name in {*rows, *columns} if [*rows, *columns].count(name) > 1):
        raise BenchError(
            f"'{twice[0]}' is in the rows or columns twice",
            allowed=AXES,
            fix="--rows method --columns k",
        )


def grids(
    cells: Iterable[Entry],
    rows: Sequence[str] = ROWS,
    columns: Sequence[str] = COLUMNS,
    *,
    median: bool = False,
    takes: Explain = lambda method, column: True,
) -> list[Grid]:
    """Return tables with these axes in rows and columns.

    Args:
        cells: ours and published ones.
        rows: names of axes; those with one value in a table go to its caption.
        columns: names of axes.
        median: whether the median is shown after mean and std.
        takes: whether a method takes a task; a missing cell is explained by it.
    """
    apart = ["protocol", "k", *(name for name in AXES if name not in ("protocol", "k"))]
    apart = [*(name for name in apart if name not in (*rows, *columns)), "limit", "drop_leaks"]
    cells = list(cells)
    shown = telling({cell.row for cell in cells})
    changed: dict[tuple[str, str], set[str]] = {}
    for cell in cells:
        changed.setdefault(cell.axis("protocol"), set()).update(cell.changed)
    tables: dict[tuple[Any, ...], list[Entry]] = {}
    for cell in cells:
        cell = replace(cell, row=shown[cell.row])
        tables.setdefault(tuple(cell.axis(name) for name in apart), []).append(cell)
    ordered = sorted(tables, key=lambda place: [(value is not None, value) for value in place])
    protocols = protocol_names(changed)
    return [
        ResultTable(tables[place], rows, columns, median, takes, protocols).grid()
        for place in ordered
    ]
