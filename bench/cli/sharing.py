"""`bench export`, `bench submit` and `bench merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import DataOption, JsonOption, ResultsOption, TasksOption
from fewbench.cli.out import absolute, note, numbers, print_json, say
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.report.share.copy import Copied, Keep
    from fewbench.store.record import Record

export = typer.Typer(
    help="Results for elsewhere: CSV files, a model card's metadata.", no_args_is_help=True
)

KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep", help="of two records of one run with other scores or code: old (there) or new"
    ),
]


@export.command("card", short_help="Print results as the metadata of a model card.")
def card(
    method: Annotated[str, typer.Argument(help="a method as it is stored")],
    name: Annotated[
        str | None, typer.Option("--name", help="the model's name; default the student's")
    ] = None,
    tasks: TasksOption = None,
    k: Annotated[str | None, typer.Option("--k", help="only these K")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="only this protocol")] = None,
    student: Annotated[
        str | None, typer.Option("--student", help="only this student, by its name")
    ] = None,
    results: ResultsOption = Path("results"),
    json: JsonOption = False,
) -> None:
    """Print the metadata block of a model card: the results of a method, as the hub's model-index."""
    from fewbench.registry.protocol import protocols
    from fewbench.report.query import Wanted, by_label, find_label, own_files, task_names
    from fewbench.report.share.card import front_matter, model_index
    from fewbench.report.tables.blocks import build
    from fewbench.report.tables.entry import entries
    from fewbench.report.today import UNRECORDED, Today
    from fewbench.store.cell import entrant_of

    wanted = Wanted(
        task_names(tasks) if tasks else None, numbers("--k", k), None, protocol, student
    )
    stored = by_label(
        record for record in _records(results) if record in wanted and record.comparable
    )
    records = stored[find_label(method, stored, str(results))]
    students = sorted({name for record in records if (name := entrant_of(record.run).student)})
    if len(students) > 1:
        raise BenchError(
            "these are results of several models", allowed=students, fix=f"--student {students[0]}"
        )
    today = Today(own_files(tasks))
    blocks = build(
        records, {}, {name: one.ddof for name, one in protocols().items()}, today.changed
    )
    whole = [cell for cell in entries(blocks) if cell.mean is not None]
    cells = [cell for cell in whole if not {*cell.changed} - {UNRECORDED}]
    if left_out := len(whole) - len(cells):
        note(f"{left_out} results were not made from what is declared today, and are left out")
    metadata = model_index(name or (students or [method])[0], cells, today.tasks)
    if json:
        print_json(metadata)
    else:
        say(front_matter(metadata))


@export.command("csv", short_help="Write runs.csv, trials.csv and cells.csv.")
def csv(
    out: Annotated[Path, typer.Option("--out", help="the folder to write to", callback=absolute)],
    tasks: TasksOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Write stored runs as CSV: runs.csv, trials.csv, and cells.csv with means over seeds."""
    from fewbench.io.atomic import write_whole
    from fewbench.registry.protocol import protocols
    from fewbench.report.query import Wanted, code_of, own_files, task_names
    from fewbench.report.share.bundle import bundle
    from fewbench.report.tables.blocks import build, to_rows
    from fewbench.report.today import Today

    wanted = Wanted(task_names(tasks) if tasks else None)
    records = [record for record in _records(results) if record in wanted]
    if not records:
        raise BenchError("no stored run is of that kind", where=str(results), fix="bench table")
    ddofs = {name: protocol.ddof for name, protocol in protocols().items()}
    blocks = build(records, code_of(records), ddofs, Today(own_files(tasks)).changed)
    for name, data in bundle(records, to_rows(blocks)).items():
        try:
            write_whole(out / name, data)
        except OSError as error:
            raise BenchError(
                f"this cannot be written: {error.strerror}", where=str(out / name)
            ) from error
        note(f"wrote {out / name}")


def submit(
    folder: Annotated[
        Path, typer.Argument(help="a results folder from elsewhere, with runs/ in it")
    ],
    tasks: Annotated[
        list[str] | None, typer.Option("--tasks", help="your own .toml, if runs are of its tasks")
    ] = None,
    results: ResultsOption = Path("results"),
    data: DataOption = None,
    keep: KeepOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check, and copy nothing")] = False,
    json: JsonOption = False,
) -> None:
    """Check records and measurements from elsewhere, and copy them in if nothing is wrong with any
    of them.
    """
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


def merge(
    folders: Annotated[list[Path], typer.Argument(help="results folders")],
    into: Annotated[
        Path,
        typer.Option(
            "--into",
            help="the results folder to write to; it may have runs already",
            callback=absolute,
        ),
    ],
    keep: KeepOption = None,
) -> None:
    """Put the records and measurements of several results folders into one; the same run is taken
    once.
    """
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


def _records(results: Path) -> list[Record]:
    from fewbench.report.query import models_apart
    from fewbench.store.store import Store

    store = Store(results)
    records = models_apart(store.records())
    for damage in store.damaged:
        note(f"damaged: {damage}")
    return records
