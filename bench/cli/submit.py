"""`bench submit`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.copied import chosen_keep, told_copied
from fewbench.cli.options import (
    DataOption,
    DryRunOption,
    JsonOption,
    KeepOption,
    ResultsOption,
    TasksOption,
)
from fewbench.cli.out import note, print_json, say
from fewbench.errors import BenchError, how_many

if TYPE_CHECKING:
    from fewbench.report.share.gather import FoundRecord
    from fewbench.report.share.submit import Report


def submit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a results folder from elsewhere")],
    tasks: TasksOption = None,
    results: ResultsOption = Path("results"),
    data: DataOption = None,
    keep: KeepOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Check records and measurements from elsewhere, and copy them in if all are right."""
    from fewbench.io import kept
    from fewbench.report.query import own_files
    from fewbench.report.share.copy import Copied, copy_into
    from fewbench.report.share.gather import gather
    from fewbench.report.share.submit import Checker
    from fewbench.store.store import Store

    os.environ[kept.VARIABLE] = kept.OFF  # labels are read from the data files alone
    found, problems = gather(folder)
    report = Checker(data, own_files(tasks)).check(found)
    problems += report.problems
    copied = None
    if not problems and found and not dry_run:
        copied = copy_into(Store(results), found, chosen_keep(keep), attached=False)
    if json:
        outcome = (copied or Copied(0, 0, 0, 0))._asdict()
        print_json({"records": len(found), "problems": problems, "notes": report.notes, **outcome})
    else:
        _print_outcome(found, problems, report)
        whole = how_many(len(found), "whole record")
        note(f"{whole}, {how_many(len(problems), 'problem')} in {folder}")
        if copied:
            note(told_copied(copied, results))
    if problems or not found:
        why = "see the problems above" if problems else "there are no records"
        raise BenchError(
            f"nothing was copied: {why}",
            where=str(folder),
            fix="fix or remove what is named, then the same command again",
        )


def _print_outcome(found: Sequence[FoundRecord], problems: Sequence[str], report: Report) -> None:
    """Print problems on stdout, and on stderr notes and the files that are not copied."""
    for problem in problems:
        say(problem)
    for text, count in report.notes.items():
        note(f"{count} x {text}")
    texts = sum(len(each.attached) for one in found for each in one.measured)
    if texts:
        note(f"{how_many(texts, 'file')} of attacked texts not copied: they hold texts of the data")
