"""`bench table`."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fewbench.cli.options import (
    OUTPUT,
    FormatOption,
    JsonOption,
    KOption,
    MethodsOption,
    ProtocolOption,
    PublishedOption,
    ResultsOption,
    SeedsOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    wanted_runs,
)
from fewbench.cli.out import (
    chosen_format,
    fail_if_damaged,
    note,
    print_csv,
    print_grids,
    print_json,
)

if TYPE_CHECKING:
    from fewbench.report.published import Published
    from fewbench.report.tables import beyond
    from fewbench.report.tables.order import Order
    from fewbench.report.tables.table import Explain
    from fewbench.report.today import Today
    from fewbench.store.record import Record
    from fewbench.store.store import Store
    from fewbench.types import Json


class Shown(NamedTuple):
    """Settings of tables: today's declarations, published numbers, the median."""

    today: Today
    takes: Explain
    published: Sequence[Published] = ()
    median: bool = False


def table(
    tasks: TasksOption = None,
    methods: MethodsOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    protocol: ProtocolOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    rows: Annotated[
        str,
        typer.Option(
            "--rows",
            metavar="NAMES",
            help="a row per method, student, task, k or protocol; or its values, in order",
            rich_help_panel=OUTPUT,
        ),
    ] = "method,student",
    columns: Annotated[
        str,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="a column per each of these; the others make tables of their own",
            rich_help_panel=OUTPUT,
        ),
    ] = "task",
    median: Annotated[
        bool,
        typer.Option("--median", help="show the median over seeds too", rich_help_panel=OUTPUT),
    ] = False,
    measures: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="NAMES",
            help="show what else was measured: loyalty, attack, cost",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    published: PublishedOption = False,
    results: ResultsOption = Path("results"),
    form: FormatOption = "terminal",
    json: JsonOption = False,
) -> None:
    """Show stored runs: a row per method and a column per task, or what --rows and --columns say.

    Methods, tasks and K that are named stand in the order in which they are named.
    """
    from fewbench.report.published import published_folder, read_published
    from fewbench.report.query import models_apart, of_methods, own_files, who_takes_what
    from fewbench.report.tables.order import in_order, read_axes
    from fewbench.report.tables.pivot import check_axes
    from fewbench.report.today import Today
    from fewbench.store.store import Store

    form = chosen_format(form, json=json)
    store = Store(results)
    gc.disable()  # collecting takes a third of the time that ten thousand records need
    stored = models_apart(store.summaries())
    down, down_order = read_axes("--rows", rows.split(","), stored)
    across, across_order = read_axes("--columns", columns.split(","), stored)
    check_axes(down, across)
    wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
    named = {**down_order, **across_order}
    records = of_methods(methods, stored, str(results)) if methods else stored
    records = in_order([record for record in records if record in wanted], named)
    if not records:
        note(_why_empty(len(stored), results))
    today = Today(own_files(tasks))
    if measures is not None:
        print_measures(records, stored, store, measures, form, today)
    else:
        printed = read_published(published_folder(results)) if published else ()
        shown = Shown(today, who_takes_what(own_files(tasks)), printed, median)
        order = {**_order(methods, tasks, k), **named}
        print_tables(records, form, down, across, shown=shown, order=order)
    if unknown := today.unknown_tasks(records):
        names = ", ".join(unknown)
        note(f"not declared here, so changes cannot be seen: {names} (--tasks FILE.toml)")
    fail_if_damaged(store.damaged)


def _why_empty(stored: int, results: Path) -> str:
    if stored:
        return f"none of the {stored} stored runs is of that kind; bench ls runs lists them"
    return f"no runs are stored in {results}; bench run makes some"


def _order(methods: list[str] | None, tasks: list[str] | None, k: str | None) -> Order:
    """Return the order of the methods, tasks and K that are named."""
    from fewbench.registry.settings import split_list
    from fewbench.report.query import task_order

    order: dict[str, Sequence[str]] = {}
    if methods:
        order["method"] = split_list(",".join(methods), "--methods")
    if tasks:
        order["task"] = task_order(tasks)
    if k:
        order["k"] = [number.strip() for number in k.split(",")]
    return order


def print_tables(
    records: Sequence[Record],
    form: str,
    rows: Sequence[str] = ("method", "student"),
    columns: Sequence[str] = ("task",),
    *,
    shown: Shown | None = None,
    order: Order | None = None,
) -> None:
    """Print the tables of some records on stdout, published numbers beside them."""
    from fewbench.registry.protocols import ddofs
    from fewbench.report.query import code_of, who_takes_what
    from fewbench.report.tables.beside import published_entries, published_rows
    from fewbench.report.tables.blocks import build, to_rows
    from fewbench.report.tables.entry import entries
    from fewbench.report.tables.pivot import grids
    from fewbench.report.today import Today

    today, takes, published, median = shown or Shown(Today(), who_takes_what())
    blocks = build(records, code_of(records, today.methods), ddofs(), today.changed)
    if form in ("json", "csv"):
        flat = published_rows(blocks, published) if published else to_rows(blocks)
        print_json(flat) if form == "json" else print_csv(flat)
    elif blocks:
        cells = [*entries(blocks), *published_entries(blocks, published)]
        order = order or {}
        print_grids(grids(cells, rows, columns, median=median, takes=takes, order=order), form)


def print_measures(
    records: Sequence[Record],
    stored: Iterable[Record],
    store: Store,
    measures: str,
    form: str,
    today: Today | None = None,
) -> None:
    """Print a row per method on a task: its score, and the measures that `--with` names.

    Args:
        records: those to show.
        stored: all records of the store, teachers among them.
        store: of the records and their measurements.
        measures: loyalty, attack, cost; with commas.
        form: a format.
        today: what records are compared with, to say what has changed since.
    """
    from fewbench.report.tables import beyond
    from fewbench.report.tables.blocks import nothing_changed

    kinds = beyond.chosen(measures)
    changed = today.changed if today else nothing_changed
    rows = beyond.rows(records, stored, store, kinds, changed)
    if form == "json":
        print_json([_with_values(row) for row in rows])
    elif form == "csv":
        print_csv(beyond.flat(rows))
    else:
        print_grids(beyond.grids(rows), form)
    note(
        "scores and loyalty in hundredths, natural logarithms; ms at batch 1; "
        "(n) where fewer runs have a figure"
    )


def _with_values(row: beyond.MeasuredRow) -> Json:
    values = {name: value._asdict() for name, value in row.values.items()}
    return {**row._asdict(), "values": values}
