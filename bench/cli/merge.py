"""`bench merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import RESULTS, KeepOption
from fewbench.cli.out import absolute, note
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.report.share.copy import Copied, Keep


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
        raise BenchError(f"nothing was merged: {len(problems)} problems: {shown}", fix=fix)
    note(_told(copy_into(Store(into), found, _keep(keep)), into))


def _told(copied: Copied, place: Path) -> str:
    text = (
        f"{copied.written} records and {copied.measurements} measurements copied to {place}, "
        f"{copied.there} records were there already"
    )
    return text + (
        f", {copied.other_code} of them by other code (--keep new takes these)"
        if copied.other_code
        else ""
    )


def _keep(text: str | None) -> Keep | None:
    keeps: dict[str | None, Keep | None] = {None: None, "old": "old", "new": "new"}
    if text not in keeps:
        raise BenchError(
            f"--keep is '{text}'", allowed=("old", "new"), given=text, fix="--keep old"
        )
    return keeps[text]
