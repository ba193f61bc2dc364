"""`bench table`."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fewbench.cli.options import JsonOption, ResultsOption, TasksOption
from fewbench.cli.out import note, numbers, print_grids, print_json
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fewbench.report.published import Published
    from fewbench.report.tables.table import Explain
    from fewbench.report.today import Today
    from fewbench.store.record import Record
    from fewbench.store.store import Store


class Shown(NamedTuple):
    """How tables are shown: what is of today, which method takes which task, the papers' numbers,
    and the median.
    """

    today: Today
    takes: Explain
    published: Sequence[Published] = ()
    median: bool = False


FORMATS = ("terminal", "markdown", "latex", "csv", "json")


def table(
    tasks: TasksOption = None,
    methods: Annotated[list[str] | None, typer.Option("--methods", help="only these")] = None,
    k: Annotated[str | None, typer.Option("--k", help="only these K")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="only this protocol")] = None,
    student: Annotated[
        str | None, typer.Option("--student", help="only this student, by its name")
    ] = None,
    rows: Annotated[
        str, typer.Option("--rows", help="of task, method, student, k, protocol: what a row is")
    ] = "method,student",
    columns: Annotated[
        str, typer.Option("--columns", help="likewise; the rest makes tables of its own")
    ] = "task",
    median: Annotated[
        bool, typer.Option("--median", help="show the median over seeds too")
    ] = False,
    beyond: Annotated[
        str | None,
        typer.Option(
            "--with", help="loyalty, attack, cost: a row a method, and what was measured of it"
        ),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="also what the papers print, marked")
    ] = False,
    results: ResultsOption = Path("results"),
    form: Annotated[
        str, typer.Option("--format", help="terminal, markdown, latex, csv or json")
    ] = "terminal",
    json: JsonOption = False,
) -> None:
    """Show stored runs: one row a method and one column a task, or what --rows and --columns say."""
    from fewbench.report.published import read_published
    from fewbench.report.query import Wanted, models_apart, own_files, task_names, who_takes_what
    from fewbench.report.tables.pivot import check_axes
    from fewbench.report.today import Today
    from fewbench.store.store import Store

    if form not in FORMATS:
        raise BenchError(
            f"unknown format '{form}'", allowed=FORMATS, given=form, fix="--format markdown"
        )
    axes = rows.split(","), columns.split(",")
    check_axes(*axes)
    store = Store(results)
    gc.disable()  # a process that reads ten thousand records and ends: collecting takes a third of its time
    known = models_apart(store.summaries())
    wanted = Wanted(
        task_names(tasks) if tasks else None, numbers("--k", k), None, protocol, student
    )
    records = [record for record in known if record in wanted]
    if methods:
        records = _of_methods(methods, records, results)
    if not records:
        what = (
            f"none of the {len(known)} stored runs is of that kind"
            if known
            else f"no runs are stored in {results}"
        )
        note(f"{what}; bench run makes some")
    today = Today(own_files(tasks))
    if beyond is not None:
        print_beyond(records, known, store, beyond, "json" if json else form, today)
    else:
        printed = read_published(results / "published") if published else ()
        shown = Shown(today, who_takes_what(own_files(tasks)), printed, median)
        print_tables(records, "json" if json else form, *axes, shown=shown)
    if unknown := today.unknown_tasks(records):
        note(
            f"not declared here, so what is of today cannot be told: {', '.join(unknown)} (--tasks FILE.toml)"
        )
    for damage in store.damaged:
        note(f"damaged: {damage}")
    if any(damage.serious for damage in store.damaged):
        raise typer.Exit(3)


def _of_methods(given: Sequence[str], records: Sequence[Record], results: Path) -> list[Record]:
    """Return the records of some methods: with all their settings, or with those that are named."""
    from fewbench.registry.settings import split_list
    from fewbench.report.query import by_label, find_label

    stored = by_label(records)
    plain = {name.partition(":")[0] for name in stored}
    names = split_list(",".join(given), "--methods")
    labels = {
        label
        for name in names
        if name in plain
        for label in stored
        if label.partition(":")[0] == name
    }
    labels |= {find_label(name, stored, str(results)) for name in names if name not in plain}
    return [record for label in sorted(labels) for record in stored[label]]


def print_tables(
    records: Sequence[Record],
    form: str,
    rows: Sequence[str] = ("method", "student"),
    columns: Sequence[str] = ("task",),
    *,
    shown: Shown | None = None,
) -> None:
    """Print the tables of some records on stdout, published numbers beside them."""
    from fewbench.registry.protocol import protocols
    from fewbench.report import render
    from fewbench.report.query import code_of, who_takes_what
    from fewbench.report.tables.beside import published_entries, published_rows
    from fewbench.report.tables.blocks import build, to_rows
    from fewbench.report.tables.entry import entries
    from fewbench.report.tables.pivot import grids
    from fewbench.report.today import Today

    today, takes, published, median = shown or Shown(Today(), who_takes_what())
    ddofs = {name: protocol.ddof for name, protocol in protocols().items()}
    blocks = build(records, code_of(records, today.methods), ddofs, today.changed)
    if form in ("json", "csv"):
        flat = published_rows(blocks, published) if published else to_rows(blocks)
        print_json(flat) if form == "json" else print(render.to_csv(flat))
    elif blocks:
        cells = [*entries(blocks), *published_entries(blocks, published)]
        print_grids(grids(cells, rows, columns, median=median, takes=takes), form)


def print_beyond(
    records: Sequence[Record],
    known: Iterable[Record],
    store: Store,
    given: str,
    form: str,
    today: Today | None = None,
) -> None:
    """Print a row for each method on a task: its score, and what `--with` names.

    `known` are all records of the store, teachers among them.
    """
    from fewbench.report.render import to_csv
    from fewbench.report.tables import beyond
    from fewbench.report.tables.blocks import nothing_changed

    kinds = beyond.chosen(given)
    rows = beyond.rows(records, known, store, kinds, today.changed if today else nothing_changed)
    if form == "json":
        print_json(
            [
                {**row._asdict(), "values": {name: v._asdict() for name, v in row.values.items()}}
                for row in rows
            ]
        )
    elif form == "csv":
        print(to_csv(beyond.flat(rows)))
    else:
        print_grids(beyond.grids(rows), form)
    note(
        "scores and loyalty in hundredths, natural logarithms; ms at batch 1; (n) where fewer runs have a figure"
    )
