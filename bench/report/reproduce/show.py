"""Tables of a plan, and of ours beside theirs: grids for print, flat rows for CSV and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import how_many
from fewbench.report.preset_names import with_preset
from fewbench.report.published import METRICS, Published
from fewbench.report.reproduce.cells import (
    CellRuns,
    How,
    PlannedCell,
    PlannedRow,
    TablePlan,
)
from fewbench.report.reproduce.commands import commands
from fewbench.report.reproduce.figures import ComparedCell, ComparedRow, Ours
from fewbench.report.reproduce.mapping import teacher_of
from fewbench.report.tables.grid import Grid, GridCell
from fewbench.types import Json

HOW: Mapping[How, str] = {
    "score": "scores of runs",
    "average": "means of such scores",
    "loyalty": "loyalties of those runs to their teachers, as bench loyalty measures them",
    "attack": "measured by bench attack afterwards, on runs made with --keep-models",
    "cost": "measured by bench cost afterwards, on runs made with --keep-models",
    "none": "cannot be had",
}
"""What is said of the cells of a table, by how they are had."""

MARK = "‡"
DIGITS = {"mrr": 3, "speedup": 2}
"""Decimals of what is not printed with one."""

MOST = 4
"""The most rows or columns to name for a reason."""

NO_RUNS = CellRuns("", "", "", "", "", "", "")
NONE_IF_EMPTY = (
    *("group", "backbone", "method", "task", "template", "k"),
    *("protocol", "student", "teacher", "reason", "remark"),
)
"""Values of a cell that are None among plain values where they are empty."""

HEADER = ["", "theirs", "ours", "95 %", "diff."]

LABEL = 32
"""Columns of a terminal that the names of rows and columns may take beside the numbers."""


class Reason(NamedTuple):
    """A reason why cells cannot be had, their number, and the rows and columns they stand in."""

    text: str
    cells: int
    rows: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def where(self) -> str:
        """The fewer of the rows and the columns, as a list to show a person."""
        names = min((self.rows, self.columns), key=len)
        more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
        return "; ".join(names[:MOST]) + more


def how_had(table: TablePlan) -> list[str]:
    """Say how many cells there are, and how many of them are had in which way."""
    counts = table.counts
    total = len(table.cells)
    asked = f" of {table.of}, those asked for" if total != table.of else ""
    lines = [f"{how_many(total, 'cell')}{asked}:"]
    return lines + [f"  {counts[how]:>4} {text}" for how, text in HOW.items() if counts[how]]


def reasons(table: TablePlan) -> list[Reason]:
    """List why cells cannot be had, most cells first."""
    places: dict[str, list[tuple[str, str]]] = {}
    for row in table.rows:
        for cell in row.cells:
            if cell.how == "none":
                places.setdefault(cell.reason, []).append((row.label, cell.number.column))
    found = []
    for text, cells in places.items():
        rows, columns = (tuple(dict.fromkeys(names)) for names in zip(*cells, strict=True))
        found.append(Reason(text, len(cells), rows, columns))
    return sorted(found, key=lambda reason: -reason.cells)


def plan_rows(table: TablePlan) -> list[list[str]]:
    """Return a line for each row: its name, backbone, method, and cells that can be had of all."""
    return [
        [
            row.label,
            row.first.backbone or "–",
            "; ".join(map(with_preset, row.methods)) or "–",
            f"{row.had}/{len(row.cells)}",
        ]
        for row in table.rows
    ]


def models_differ(table: TablePlan) -> list[str]:
    """Say which models stand for the printed backbones, and which rows are the same runs so."""
    pairs = []
    for model, backbones in _printed_backbones(table).items():
        name = Path(model).name
        others = [backbone for backbone in backbones if backbone not in ("", name)]
        if others:
            pairs.append(f"{name} for {', '.join(others)}")
    lines = [f"other models than the paper's: {'; '.join(pairs)}"] if pairs else []
    return lines + [f"the same runs here: {_together(group)}" for group in table.alike()]


def _printed_backbones(table: TablePlan) -> dict[str, dict[str, None]]:
    """Return the printed backbones that each model stands for, in the order of the table."""
    printed: dict[str, dict[str, None]] = {}
    for row in table.rows:
        for run in row.runs:
            if run.student or run.teacher:
                printed.setdefault(run.student or run.teacher, {})[row.first.backbone] = None
            if run.teacher:
                printed.setdefault(run.teacher, {})[teacher_of(table.table)] = None
    return printed


def _together(rows: Sequence[PlannedRow]) -> str:
    """Return the names of rows; a group that all of them are of is named once."""
    groups = {row.first.group for row in rows}
    group = groups.pop() if len(groups) == 1 else ""
    names = [_with_backbone(row).removeprefix(f"{group}: ") for row in rows]
    return (f"{group}: " if group else "") + "; ".join(names)


def _with_backbone(row: PlannedRow) -> str:
    return f"{row.label} ({row.first.backbone})" if row.first.backbone else row.label


def beside_grid(rows: Sequence[ComparedRow], caption: str) -> Grid:
    """Return a table of ours beside theirs: a line for each cell, below the name of its row."""
    marks: dict[str, str] = {}
    common = _common_n(rows)
    body: list[list[GridCell]] = []
    for row in rows:
        body.append([GridCell(_with_backbone(row.row)), *[GridCell("")] * (len(HEADER) - 1)])
        body += [_line(cell, marks, common) for cell in row.cells]
    seeds = f"ours over n={common} split seeds" if common else "ours over (n) split seeds"
    notes = [
        "95 %: interval of our mean over split seeds, by Student's t; – for one seed, and for what "
        "does not vary over seeds",
        *(f"{mark} {text}" for text, mark in marks.items()),
    ]
    return Grid(f"{caption} · {seeds}", HEADER, body, notes, label_width=LABEL)


def _line(cell: ComparedCell, marks: dict[str, str], common: int | None) -> list[GridCell]:
    number, ours = cell.cell.number, cell.ours
    digits = DIGITS.get(number.metric, 1)
    said = cell.missing if ours is None else cell.cell.remark
    mark = f" {marks.setdefault(said, f'{MARK}{len(marks) + 1}')}" if said else ""
    texts = [f"  {_column(number)}", _theirs(number, digits)]
    if ours is None:
        texts += [f"–{mark}", "", ""]
    else:
        n = f" ({ours.n})" if common is None else ""
        texts += [_ours(ours, digits) + n + mark, _interval(ours, digits), _signed(cell, digits)]
    return [GridCell(text) for text in texts]


def _column(number: Published) -> str:
    """Return a column's heading, with the task where several share one."""
    several = number.task.endswith("-mm") or "/" in number.column
    return f"{number.column} ({number.task})" if several and number.task else number.column


def _theirs(number: Published, digits: int) -> str:
    std = "" if number.std is None else f" ±{number.std:.1f}"
    return f"{number.value:.{digits}f}{std}"


def _ours(ours: Ours, digits: int) -> str:
    std = "" if ours.std is None else f" ±{ours.std:.{digits}f}"
    return f"{ours.mean:.{digits}f}{std}"


def _interval(ours: Ours, digits: int) -> str:
    if ours.low is None or ours.high is None:
        return "–"
    return f"{ours.low:.{digits}f} {ours.high:.{digits}f}"


def _signed(cell: ComparedCell, digits: int) -> str:
    assert cell.difference is not None
    return f"{cell.difference:+.{digits}f}"


def _common_n(rows: Iterable[ComparedRow]) -> int | None:
    """Return the number of seeds that all our numbers share; None if they differ."""
    counts = {cell.ours.n for row in rows for cell in row.cells if cell.ours is not None}
    return counts.pop() if len(counts) == 1 else None


def plan_object(
    table: TablePlan, seeds: Mapping[CellRuns, Sequence[int]], limit: int | None = None
) -> Json:
    """Return a plan as plain values, for JSON; `seeds` are those of each of its runs."""
    printed = table.table
    return {
        "paper": printed.paper,
        "table": printed.table,
        "title": printed.title,
        "protocol": table.protocol,
        "protocol_of_paper": printed.protocol or None,
        "seeds": list(dict.fromkeys(chain.from_iterable(seeds.values()))),
        **{role: name or None for role, name in table.models._asdict().items()},
        "backbones": printed.backbones,
        "cells_of_table": table.of,
        "commands": [command.line for command in commands(seeds, limit)],
        "cells": [flat_cell(cell) for cell in table.cells],
    }


def flat_cell(cell: PlannedCell) -> Json:
    """Return a planned cell as plain values."""
    number, runs = cell.number, cell.runs or NO_RUNS
    flat = {
        "paper": number.paper,
        "table": number.table,
        "group": number.group,
        "row": number.row,
        "column": number.column,
        "backbone": number.backbone,
        "method": number.method,
        "task": runs.task or number.task,
        "template": number.template,
        "k": number.k,
        "metric": number.metric,
        "unit": METRICS[number.metric].partition(";")[0],
        "published": number.value,
        "published_std": number.std,
        "published_n": number.n,
        "how": cell.how,
        "protocol": runs.protocol,
        "student": runs.student,
        "teacher": runs.teacher,
        "reason": cell.reason,
        "remark": cell.remark,
    }
    for name in NONE_IF_EMPTY:
        flat[name] = flat[name] or None
    return flat


def flat_rows(rows: Iterable[ComparedRow]) -> list[Json]:
    """Return every cell with ours beside theirs as plain values, in the unit of the printed one."""
    return [_flat(cell) for row in rows for cell in row.cells]


def _flat(cell: ComparedCell) -> Json:
    ours = Ours(0, 0)._asdict() if cell.ours is None else cell.ours._asdict()
    if cell.ours is None:
        ours = dict.fromkeys(ours) | {"n": 0}
    numbers = {"difference": cell.difference, **ours}
    rounded = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in numbers.items()
    }
    return {
        **flat_cell(cell.cell),
        "ours": rounded.pop("mean"),
        **rounded,
        "missing": cell.missing or None,
    }
