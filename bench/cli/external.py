"""`bench external`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import (
    OUTPUT,
    RUNS,
    DryRunOption,
    ForceOption,
    JsonOption,
    ResultsOption,
    StudentOption,
    TasksOption,
)
from fewbench.cli.out import note, print_json, print_list
from fewbench.errors import BenchError, how_many

if TYPE_CHECKING:
    from fewbench.report.foreign.rows import ForeignRow
    from fewbench.types import Task

KINDS = ("csv", "lm-bff", "setfit")


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="what to call the source")],
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="a CSV file, LM-BFF's log, or a folder of SetFit's"),
    ],
    kind: Annotated[
        str,
        typer.Option("--as", metavar="NAME", help="csv, lm-bff or setfit", rich_help_panel=OUTPUT),
    ] = "csv",
    unit: Annotated[
        str,
        typer.Option(
            "--unit",
            metavar="NAME",
            help="of values in a CSV file: percent, or share (0 to 1)",
            rich_help_panel=OUTPUT,
        ),
    ] = "percent",
    rename: Annotated[
        list[str] | None,
        typer.Option(
            "--rename",
            metavar="THEIRS=TASK",
            help="our task for a name of theirs; with no task it is left out",
            rich_help_panel=RUNS,
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            "--tag",
            metavar="NAME",
            help="the runs in an LM-BFF log that count, by their tag",
            rich_help_panel=RUNS,
        ),
    ] = None,
    student: StudentOption = None,
    tasks: TasksOption = None,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    results: ResultsOption = Path("results"),
) -> None:
    """Check results made elsewhere, and keep them to be shown beside ours, marked.

    A CSV file has the columns method, task, metric, value, and any of backbone, K, std, n, note.
    """
    from fewbench.data.task_file import declared
    from fewbench.registry.methods import task_files
    from fewbench.report.foreign.names import renames_of
    from fewbench.report.foreign.rows import checked, file_of, write_rows
    from fewbench.report.query import own_files

    file = file_of(results, name)
    known = declared(task_files(own_files(tasks))).tasks
    found = _read(path, kind, unit, known, renames_of(rename or ()), tag, student)
    rows = checked(found, known)
    if file.exists() and not force and not dry_run:
        raise BenchError("there are rows of that name", where=str(file), fix="--force, to replace")
    _print(rows)
    if not dry_run:
        write_rows(rows, file)
        wrote = f"wrote {how_many(len(rows), 'row')} to {file}"
        note(f"{wrote}: bench table --published shows them beside runs")


def _read(
    path: Path,
    kind: str,
    unit: str,
    tasks: Mapping[str, Task],
    renames: Mapping[str, str],
    tag: str | None,
    student: str | None,
) -> list[ForeignRow]:
    if kind == "csv":
        from fewbench.report.foreign.csv_table import read_csv

        return read_csv(path, unit)
    if kind == "lm-bff":
        from fewbench.report.foreign.lmbff import read_log

        return read_log(path, tasks, renames, tag)
    if kind == "setfit":
        from fewbench.report.foreign.setfit import read_folder

        return read_folder(path, tasks, renames, student)
    raise BenchError(f"--as is '{kind}'", allowed=KINDS, given=kind, fix="--as csv")


def _print(rows: Sequence[ForeignRow]) -> None:
    header = ("method", "task", "backbone", "K", "metric", "value", "std", "n")
    texts = []
    for row in rows:
        std = "" if row.std is None else f"{row.std:.1f}"
        texts.append([*row.identity, f"{row.value:.1f}", std, str(row.n or "")])
    print_list(header, texts, right=(5, 6, 7))


def ls(json: JsonOption = False, results: ResultsOption = Path("results")) -> None:
    """List the sources of results made elsewhere, and how many numbers each has."""
    from fewbench.report.foreign.rows import read_external

    counts: dict[str, int] = {}
    for number in read_external(results):
        counts[number.paper] = counts.get(number.paper, 0) + 1
    if json:
        print_json(counts)
    else:
        print_list(
            ("source", "numbers"), [(name, str(n)) for name, n in counts.items()], right=(1,)
        )
