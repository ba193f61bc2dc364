"""The output of `bench reproduce`: tables that there are, the plan of one, ours beside theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fewbench.cli.out import (
    console,
    note,
    print_csv,
    print_grids,
    print_json,
    print_list,
    say,
    say_wrapped,
)
from fewbench.cli.show_plan import what_is_left
from fewbench.runner.environment import cores

if TYPE_CHECKING:
    from fewbench.cli.run import HowToRun
    from fewbench.report.reproduce.jobs import PlannedTable
    from fewbench.report.reproduce.tables import PrintedTable
    from fewbench.runner.jobs import Job
    from fewbench.runner.plan import Request
    from fewbench.store.store import Store


def list_tables(tables: Sequence[PrintedTable], form: str) -> None:
    """Print the tables that there are, and how many of their cells can be had here."""
    from fewbench.report.reproduce.cells import StandIns
    from fewbench.report.reproduce.mapping import Known, plan_cells

    known = Known()
    rows = []
    for table in tables:
        counts = plan_cells(table, StandIns("named", "named"), known).counts
        cells = len(table.numbers)
        rows.append(
            {
                "paper": table.paper,
                "table": table.table,
                "title": table.title,
                "cells": cells,
                "here": cells - counts["none"],
            }
        )
    if form == "json":
        print_json(rows)
    elif form == "csv":
        print_csv(rows)
    else:
        texts = [list(map(str, row.values())) for row in rows]
        print_list([*rows[0]], texts, right=(3, 4), form=form, caption="published tables")
    note("here: cells that methods, tasks and measurements of this project can make")


def show_planned(
    planned: PlannedTable,
    todo: Sequence[Job],
    request: Request,
    store: Store,
    how: HowToRun,
    form: str,
) -> None:
    """Print which cells are had in which way, why others are not, and the commands."""
    from fewbench.report.reproduce import show
    from fewbench.runner.devices import check_counts, choose_device
    from fewbench.runner.estimate import estimate_seconds

    check_counts(how.workers, how.per_device, choose_device(how.device))
    seconds = estimate_seconds(todo, store)
    table = planned.table
    if form == "json":
        counts = {"runs": len(planned.plan.jobs), "todo": len(todo), "estimated_seconds": seconds}
        print_json({**show.plan_object(table, planned.seeds, request.limit), **counts})
    elif form == "csv":
        print_csv([show.flat_cell(cell) for cell in table.cells])
    else:
        _print_plan(planned, request, form)
    if planned.plan.jobs:
        note(what_is_left(planned.plan, todo, seconds, how.workers or cores()))


def _print_plan(planned: PlannedTable, request: Request, form: str) -> None:
    from fewbench.report.reproduce import show
    from fewbench.report.reproduce.commands import commands

    table = planned.table
    for line in about(planned):
        say_wrapped(line)
    say("")
    header = ("row", "backbone", "method", "here")
    print_list(header, show.plan_rows(table), right=(3,), form=form, caption="rows")
    say("")
    for line in show.how_had(table):
        say(line)
    lacking = show.reasons(table)
    if lacking:
        say("")
        rows = [[str(reason.cells), reason.text, reason.where] for reason in lacking]
        caption = "cells that cannot be had"
        print_list(("cells", "cannot be had", "in"), rows, right=(0,), form=form, caption=caption)
    if table.runs:
        say("")
    for command in commands(planned.seeds, request.limit):
        say(command.folded(console().width))


def about(planned: PlannedTable) -> list[str]:
    """Return the lines on all of a table: its title, the protocol, the models."""
    from fewbench.report.reproduce import show

    printed = planned.table.table
    protocol = f"protocol {planned.table.protocol}"
    if planned.table.protocol != printed.protocol:
        own = f"the paper's: {printed.protocol}" if printed.protocol else "none here is the paper's"
        protocol += f" ({own})"
    if others := planned.table.other_protocols:
        protocol += f", and {', '.join(others)} for full data"
    if planned.plan.jobs:
        seeds = dict.fromkeys(job.run.seed for job in planned.plan.jobs)
        protocol += f"; split seeds {', '.join(map(str, seeds))}"
    name = f"{printed.name}: {printed.title}" if printed.title else printed.name
    return [name, protocol, *show.models_differ(planned.table)]


def show_beside(planned: PlannedTable, request: Request, store: Store, form: str) -> None:
    """Print ours beside theirs."""
    from fewbench.registry.protocols import get_protocol
    from fewbench.report.reproduce import show
    from fewbench.report.reproduce.figures import compared

    ddof = get_protocol(planned.table.protocol).ddof
    rows = compared(planned.table, planned.jobs, store, ddof)
    if form == "json":
        print_json(show.flat_rows(rows))
    elif form == "csv":
        print_csv(show.flat_rows(rows))
    else:
        caption = " · ".join(filter(None, [*about(planned), *_cut(request)]))
        print_grids([show.beside_grid(rows, caption)], form)


def _cut(request: Request) -> list[str]:
    """Say which test rows ours lack."""
    limit = f"ours on a draw of {request.limit} test rows only: NOT COMPARABLE"
    leaks = "ours without test rows that stand in train or dev: NOT COMPARABLE"
    return [text for text, cut in ((limit, request.limit), (leaks, request.drop_leaks)) if cut]
