"""`bench merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fewbench.cli.copied import chosen_keep, told_copied
from fewbench.cli.options import RESULTS, KeepOption
from fewbench.cli.out import absolute, note
from fewbench.errors import BenchError, how_many


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="results folders")],
    into: Annotated[
        Path,
        typer.Option(
            "--into",
            metavar="DIR",
            help="the results folder to write to; it may have runs already",
            callback=absolute,
            rich_help_panel=RESULTS,
        ),
    ],
    keep: KeepOption = None,
) -> None:
    """Copy the records and measurements of several results folders into one, each run once."""
    from fewbench.report.share.copy import copy_into
    from fewbench.report.share.gather import gather
    from fewbench.store.store import Store

    found, problems = [], []
    for folder in folders:
        whole, wrong = gather(folder)
        found += whole
        problems += [f"{folder}: {problem}" for problem in wrong]
    if problems:
        shown = "; ".join(problems[:3])
        fix = "bench fsck --results FOLDER --repair, and the same command again"
        raise BenchError(
            f"nothing was merged: {how_many(len(problems), 'problem')}: {shown}", fix=fix
        )
    note(told_copied(copy_into(Store(into), found, chosen_keep(keep)), into))
