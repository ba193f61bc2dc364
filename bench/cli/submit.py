"""`bench submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import (
    DataOption,
    DryRunOption,
    JsonOption,
    KeepOption,
    ResultsOption,
    TasksOption,
)
from fewbench.cli.out import note, print_json, say
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.report.share.copy import Copied, Keep


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
    from fewbench.report.query import own_files
    from fewbench.report.share.copy import Copied, copy_into
    from fewbench.report.share.gather import gather
    from fewbench.report.share.submit import Checker
    from fewbench.store.store import Store

    found, problems = gather(folder)
    report = Checker(data, own_files(tasks)).check(found)
    problems += report.problems
    copied = None
    if not problems and found and not dry_run:
        copied = copy_into(Store(results), found, _keep(keep), attached=False)
    if json:
        outcome = (copied or Copied(0, 0, 0, 0))._asdict()
        print_json({"records": len(found), "problems": problems, "notes": report.notes, **outcome})
    else:
        for problem in problems:
            say(problem)
        for text, count in report.notes.items():
            note(f"{count} x {text}")
        if texts := sum(len(each.attached) for one in found for each in one.measured):
            note(
                f"{texts} files of attacked texts stay where they are: they hold texts of the data"
            )
        note(f"{len(found)} whole records, {len(problems)} problems in {folder}")
        if copied:
            note(_told(copied, results))
    if problems or not found:
        raise BenchError(
            "nothing was copied: "
            + ("see the problems above" if problems else "there are no records"),
            where=str(folder),
            fix="mend or take out what is named, and the same command again",
        )


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
