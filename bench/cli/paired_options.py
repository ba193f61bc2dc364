"""The options of commands that test differences: against what, and by how many resamples."""

from __future__ import annotations

from typing import Annotated

import typer

from fewbench.cli.options import HOW, RUNS

RESAMPLES = 5000
"""Of the bootstrap and of permutations, unless said otherwise."""

_AGAINST = typer.Option(
    "--against", metavar="NAMES", help="what to compare with", rich_help_panel=RUNS
)

RequiredAgainstOption = Annotated[str, _AGAINST]
AgainstOption = Annotated[str | None, _AGAINST]
ResamplesOption = Annotated[
    int,
    typer.Option(
        "--resamples",
        min=100,
        metavar="N",
        help="resamples of the bootstrap and of permutations",
        rich_help_panel=HOW,
    ),
]
