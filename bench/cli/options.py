"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fewbench.cli.out import absolute

DataOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="FEWBENCH_DATA", help="folder of data files", callback=absolute),
]
ResultsOption = Annotated[
    Path,
    typer.Option(
        "--results", envvar="FEWBENCH_RESULTS", help="folder of stored runs", callback=absolute
    ),
]
AllowOption = Annotated[
    bool,
    typer.Option(
        "--allow-metric-code", help="let a task's metric be a script: of a path, or a hub user's"
    ),
]
TasksOption = Annotated[
    list[str] | None,
    typer.Option("--tasks", help="only these: tasks, task@source, suites, your own .toml"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
MethodFiles = Annotated[
    list[str] | None,
    typer.Option("--methods", help="file of a method of your own, if a run is of it"),
]
KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep", help="of two records of one run with other scores or code: old (there) or new"
    ),
]
