"""Rows of results made elsewhere: their checks, and the file that keeps them.

They stand in `<results>/external/NAME.csv`, one file a source, in the columns of
`fewbench.report.published`, and are shown as published numbers are: in rows of their own, marked,
never ranked, and in no cell of ours.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fewbench.data.metrics import BOUNDS
from fewbench.data.task_file import with_source
from fewbench.data.train_size import parse_k
from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.refs import NAME
from fewbench.report.published import (
    COLUMNS,
    PROTOCOLS,
    Published,
    printed_k,
    published_folder,
    read_published,
)
from fewbench.types import Task

FOLDER = "external"
"""Its name within a results folder."""

LONGEST = 200
"""Most characters of a text."""


class ForeignRow(NamedTuple):
    """A result of others; `value` and `std` are in hundredths.

    `place` says where it stands: a file, and the line in it. `columns` gives the column of each
    field there, for messages; a file without columns has none.
    """

    place: str
    method: str
    task: str
    backbone: str
    k: str
    metric: str
    value: float
    std: float | None = None
    n: int | None = None
    note: str = ""
    columns: Mapping[str, str] = {}

    def where(self, field: str) -> str:
        """Return the place of a field: `scores.csv, line 3, column 4 (value)`."""
        column = self.columns.get(field)
        return f"{self.place}, {column}" if column else f"{self.place} ({field})"

    @property
    def identity(self) -> tuple[str, ...]:
        """The method, task, model, K and metric: no source has two numbers of one."""
        return self.method, self.task, self.backbone, self.k, self.metric


def checked(rows: Sequence[ForeignRow], tasks: Mapping[str, Task]) -> list[ForeignRow]:
    """Return the rows with their K as the files write it.

    Args:
        rows: of one source.
        tasks: those that are declared, by name.

    Raises:
        BenchError: no row at all, a value that is not allowed, or two numbers for one thing.
    """
    if not rows:
        raise BenchError("there is no result here", fix="bench external add --help")
    first: dict[tuple[str, ...], ForeignRow] = {}
    for row in rows:
        found = _checked(row, tasks)
        if other := first.get(found.identity):
            raise BenchError(
                f"two numbers for {row.method} on {row.task}, {row.metric}",
                where=f"{row.place}, and {other.place}",
                fix="keep one of them",
            )
        first[found.identity] = found
    return list(first.values())


def _checked(row: ForeignRow, tasks: Mapping[str, Task]) -> ForeignRow:
    if not NAME.fullmatch(row.method.partition(":")[0]):
        raise _refusal(row, "method", row.method, "small letters, digits and hyphens: my-method")
    _check_task(row, tasks)
    for field in ("method", "backbone", "note"):
        text = getattr(row, field)
        if len(text) > LONGEST or not text.isprintable():
            raise _refusal(row, field, text[:40], f"up to {LONGEST} printable characters")
    _check_numbers(row)
    return row._replace(k=_k(row))


def _check_numbers(row: ForeignRow) -> None:
    low, high = (100 * bound for bound in BOUNDS[row.metric])
    if not (math.isfinite(row.value) and low <= row.value <= high):
        raise _refusal(row, "value", row.value, f"hundredths, from {low:g} to {high:g}")
    if row.std is not None and not (math.isfinite(row.std) and 0 <= row.std <= 100):
        raise _refusal(row, "std", row.std, "hundredths, from 0 to 100, or empty")
    if row.n is not None and row.n < 1:
        raise _refusal(row, "n", row.n, "a number of runs from 1, or empty")


def _check_task(row: ForeignRow, tasks: Mapping[str, Task]) -> None:
    """Refuse a task, source or metric that is not declared."""
    name, _, source = row.task.partition("@")
    if name not in tasks:
        raise BenchError(
            f"there is no task '{name}'",
            where=row.where("task"),
            allowed=tasks,
            given=name,
            fix="--rename THEIRS=TASK@SOURCE, or --tasks FILE.toml",
        )
    task = tasks[name]
    if source:
        try:
            with_source(task, source)
        except BenchError as error:
            raise BenchError(
                error.problem, where=row.where("task"), allowed=error.allowed, given=row.task
            ) from error
    known = dict.fromkeys((task.metric, *task.metrics))
    if row.metric not in BOUNDS or row.metric not in known:
        raise _refusal(row, "metric", row.metric, f"of {name}: {', '.join(known)}")


def _k(row: ForeignRow) -> str:
    """Return a row's K as the files write it; empty where no example is used."""
    word, _, total = row.k.partition(" ")
    text = f"total-{word}" if total == "total" else row.k
    try:
        return printed_k(parse_k(text)) if text else ""
    except BenchError as error:
        raise BenchError(error.problem, where=row.where("K"), allowed=error.allowed) from error


def _refusal(row: ForeignRow, field: str, given: object, allowed: str) -> BenchError:
    return BenchError(f"{field} is '{given}'", where=row.where(field), allowed=allowed)


def file_of(results: Path, name: str) -> Path:
    """Return the file that keeps a source's rows.

    Raises:
        BenchError: a name that is no file's, or a paper's own.
    """
    papers = {key.partition(" ")[0] for key in PROTOCOLS}
    if not NAME.fullmatch(name) or name in papers:
        raise BenchError(
            f"the source is called '{name}'",
            allowed=f"small letters, digits and hyphens; not {', '.join(sorted(papers))}",
            fix="bench external add their-results FILE",
        )
    return results / FOLDER / f"{name}.csv"


def write_rows(rows: Sequence[ForeignRow], file: Path) -> None:
    """Write checked rows to the file of their source.

    Raises:
        BenchError: it cannot be written.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        line = {
            "paper": file.stem,
            "row": " ".join(filter(None, [row.method, row.backbone])),
            "method": row.method,
            "column": row.task,
            "task": row.task,
            "backbone": row.backbone,
            "K": row.k,
            "metric": row.metric,
            "value": f"{row.value:.6g}",
            "std": "" if row.std is None else f"{row.std:.6g}",
            "n": "" if row.n is None else row.n,
            "note": row.note,
        }
        writer.writerow(line)
    try:
        write_whole(file, stream.getvalue().encode("utf-8"))
    except OSError as error:
        raise BenchError(f"this cannot be written: {error.strerror}", where=str(file)) from error


def read_external(results: Path) -> list[Published]:
    """Return the numbers of all sources in a results folder.

    Raises:
        BenchError: a file that is not what was written.
    """
    folder = results / FOLDER
    return read_published(folder) if any(folder.glob("*.csv")) else []


def numbers_beside(results: Path) -> list[Published]:
    """Return all numbers that may stand beside ours: those of papers, and imported ones."""
    return read_published(published_folder(results)) + read_external(results)
