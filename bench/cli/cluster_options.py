"""The options of `bench run` that send its runs to a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from fewbench.cli.options import HOW

ExecutorOption = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="NAME",
        help="local, slurm or ray: where workers run",
        rich_help_panel=HOW,
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=10_000,
        metavar="N",
        help="workers on the cluster",
        rich_help_panel=HOW,
    ),
]
PerJobOption = Annotated[
    str | None,
    typer.Option(
        "--per-job",
        metavar="WHAT",
        help="what each gets: time=8h,cpus=4,gpus=1,memory=16G,partition=NAME",
        rich_help_panel=HOW,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="a Ray cluster; default one on this machine",
        rich_help_panel=HOW,
    ),
]
DetachOption = Annotated[
    bool,
    typer.Option("--detach", help="send jobs to Slurm and do not wait", rich_help_panel=HOW),
]
