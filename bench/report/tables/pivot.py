"""Tables with any rows and columns: a flat list of cells in, grids of text out.

An axis that varies and is neither in the rows nor in the columns splits the cells into several
tables; so do a limit and dropped leaks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from fewbench.errors import BenchError
from fewbench.report.tables.axes import laid_out
from fewbench.report.tables.entry import AXES, Entry, sortable
from fewbench.report.tables.grid import Grid
from fewbench.report.tables.names import protocol_names, telling
from fewbench.report.tables.order import Order, rank
from fewbench.report.tables.table import Explain, Look, ResultTable

ROWS, COLUMNS = ("method", "student"), ("task",)

SPLIT_ORDER = ("protocol", "k", "task", "method", "student", "limit", "drop_leaks", "arithmetic")
"""The order of tables; the last three are always among the axes that split them."""


def check_axes(rows: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse unknown axes, and an axis that is asked for twice.

    Raises:
        BenchError: such an axis, or none at all.
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
    names = [*rows, *columns]
    repeated = sorted(name for name in set(names) if names.count(name) > 1)
    if repeated:
        raise BenchError(
            f"'{repeated[0]}' is in the rows or columns twice",
            allowed=AXES,
            fix="--rows method --columns k",
        )


def grids(
    cells: Iterable[Entry],
    rows: Sequence[str] = ROWS,
    columns: Sequence[str] = COLUMNS,
    *,
    median: bool = False,
    costs: bool = False,
    takes: Explain = lambda method, column: True,
    order: Order = MappingProxyType({}),
) -> list[Grid]:
    """Return tables with these axes in rows and columns.

    Args:
        cells: ours and published ones.
        rows: names of axes; those with one value in a table go to its caption.
        columns: names of axes.
        median: show the median after mean and std.
        costs: show costs after the scores; the columns are tasks then.
        takes: says if a method takes a task, to explain a missing cell.
        order: the values asked for on some axes, in their order.
    """
    cells = laid_out(cells, {*rows, *columns})
    changed: dict[tuple[str, str], set[str]] = {}
    for cell in cells:
        changed.setdefault(cell.axis("protocol"), set()).update(cell.changed)
    protocols = protocol_names(changed)
    look = Look(median=median, costs=costs)
    return [
        ResultTable(table, rows, columns, look, takes, protocols, order).grid()
        for table in _tables(cells, {*rows, *columns}, order)
    ]


def _tables(cells: Sequence[Entry], laid_out: Collection[str], order: Order) -> list[list[Entry]]:
    """Split cells by all axes that are not laid out in rows or columns, as asked or sorted."""
    axes = [name for name in SPLIT_ORDER if name not in laid_out]
    short = telling({cell.row for cell in cells})
    tables: dict[tuple[Any, ...], list[Entry]] = {}
    for cell in cells:
        row = short[cell.row]
        cell = cell if row == cell.row else replace(cell, row=row)
        place = tuple(cell.axis(name) for name in axes)
        tables.setdefault(place, []).append(cell)
    ordered = sorted(tables, key=lambda place: sortable(axes, place))
    ordered.sort(
        key=lambda place: [rank(order, axis, v) for axis, v in zip(axes, place, strict=True)]
    )
    return [tables[place] for place in ordered]
