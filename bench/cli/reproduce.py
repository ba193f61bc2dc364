"""`bench reproduce`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.earlier import of_older_code
from fewbench.cli.options import (
    OUTPUT,
    RUNS,
    AllowOption,
    CorpusOption,
    DataOption,
    DeviceOption,
    DropLeaksOption,
    DryRunOption,
    FailFastOption,
    ForceOption,
    FormatOption,
    JsonOption,
    KeepModelsOption,
    LimitOption,
    MethodsOption,
    OfflineOption,
    PerDeviceOption,
    ProtocolOption,
    ResultsOption,
    RetryOption,
    SeedsOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    ThreadsOption,
    TimeoutOption,
    WorkersOption,
)
from fewbench.cli.out import (
    chosen_format,
    console,
    duration,
    note,
    numbers,
    print_csv,
    print_grids,
    print_json,
    print_list,
    say,
    say_wrapped,
)
from fewbench.cli.requests import names_listed
from fewbench.cli.run import HowToRun, carry_out
from fewbench.cli.show_plan import what_is_left
from fewbench.errors import BenchError
from fewbench.runner.environment import cores

if TYPE_CHECKING:
    from fewbench.report.reproduce.jobs import PlannedTable
    from fewbench.report.reproduce.tables import PrintedTable
    from fewbench.runner.jobs import Job
    from fewbench.runner.plan import Request
    from fewbench.store.store import Store


def reproduce(
    paper: Annotated[
        str | None,
        typer.Argument(
            metavar="[PAPER]", help="smash, ppt, prompt-distiller or thesis; without: a list"
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE]", help="its number, such as 4.1; without: a list"),
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option(
            "--row",
            metavar="TEXT",
            help="only rows with this in their printed name; may be repeated",
            rich_help_panel=RUNS,
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="TEXT",
            help="only columns with this in their heading; may be repeated",
            rich_help_panel=RUNS,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--setting",
            metavar="NAME=VALUE",
            help="a setting of all methods that have one of this name; may be repeated",
            rich_help_panel=RUNS,
        ),
    ] = None,
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    seeds: SeedsOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    protocol: ProtocolOption = None,
    corpus: CorpusOption = None,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    per_device: PerDeviceOption = None,
    threads: ThreadsOption = 1,
    timeout: TimeoutOption = None,
    fail_fast: FailFastOption = False,
    limit: LimitOption = None,
    drop_leaks: DropLeaksOption = False,
    allow_metric_code: AllowOption = False,
    dry_run: DryRunOption = False,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="show what is stored beside the paper's, and run nothing",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    force: ForceOption = False,
    retry_failed: RetryOption = False,
    keep_models: KeepModelsOption = False,
    offline: OfflineOption = False,
    form: FormatOption = "terminal",
    json: JsonOption = False,
) -> None:
    """Make a published table again, and set ours beside theirs, cell by cell.

    The student and teacher that are named stand for the paper's models. Each printed number is
    planned as runs, or it is said why it cannot be had; --dry-run shows this. Without a table:
    those that there are.
    """
    from fewbench.data.hub import go_offline
    from fewbench.report.reproduce.jobs import plan_jobs, stand_ins
    from fewbench.report.reproduce.mapping import Known, plan_cells
    from fewbench.report.reproduce.part import TablePart
    from fewbench.runner.devices import check_counts
    from fewbench.runner.plan import Request
    from fewbench.store.store import Store

    check_counts(workers, per_device, device)
    form = chosen_format(form, json=json)
    printed = _table_asked(paper, table, results, form)
    if printed is None:
        return
    if offline:
        go_offline()
    part = TablePart(
        row or (), column or (), names_listed("--methods", methods), names_listed("--tasks", tasks)
    )
    models = stand_ins(student, teacher)
    wanted = part.of(printed.numbers)
    cells = plan_cells(printed, models, Known(settings or ()), protocol=protocol, numbers=wanted)
    request = Request(
        methods=(),
        tasks=(),
        seeds=numbers("--seeds", seeds),
        student=models.student,
        corpus=corpus,
        keep_models=keep_models,
        data=data,
        limit=limit,
        drop_leaks=drop_leaks,
        offline=offline,
        metric_code=allow_metric_code,
    )
    store = Store(results, on_damage=lambda damage: note(f"warning: {damage}"))
    planned = plan_jobs(cells, request, store)
    if show:
        _show_beside(planned, request, store, form)
        return
    todo = planned.plan.todo(force=force, retry_failed=retry_failed)
    planned, todo = _without_refused(planned, todo)
    limit_s = duration("--timeout", timeout)
    how = HowToRun(workers, device, threads, limit_s, fail_fast, per_device=per_device)
    if dry_run:
        _show_plan(planned, todo, request, store, how, form)
        return
    failed = _carry_out(planned, todo, store, how)
    _show_beside(planned, request, store, form)
    if failed:
        raise typer.Exit(1)


def _table_asked(
    paper: str | None, table: str | None, results: Path, form: str
) -> PrintedTable | None:
    """Return the table that is asked for; without its name, print a list of those there are."""
    from fewbench.report.published import published_folder, read_published
    from fewbench.report.reproduce.tables import find_table, of_paper, printed_tables

    printed = printed_tables(read_published(published_folder(results)))
    if paper is not None and table is not None:
        return find_table(printed, paper, table)
    _list(printed if paper is None else of_paper(printed, paper), form)
    return None


def _list(tables: Sequence[PrintedTable], form: str) -> None:
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


def _without_refused(planned: PlannedTable, todo: Sequence[Job]) -> tuple[PlannedTable, list[Job]]:
    """Drop the runs that models or methods refuse, whose cells then say so."""
    from fewbench.runner.refusals import refused_jobs

    refused = refused_jobs(planned.plan, todo, cores())
    return planned.without(refused), [job for job in todo if job.key not in refused]


def _show_plan(
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
    for line in _about(planned):
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


def _about(planned: PlannedTable) -> list[str]:
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


def _carry_out(planned: PlannedTable, todo: Sequence[Job], store: Store, how: HowToRun) -> bool:
    """Carry out the runs of a table; return True if any has failed, now or earlier.

    Raises:
        BenchError: no cell of it can be had.
    """
    from fewbench.report.reproduce import show

    if not planned.plan.jobs:
        raise _nothing(planned)
    for line in [*_about(planned), *show.how_had(planned.table)]:
        note(line)
    for text in of_older_code(planned.plan, todo):
        note(text)
    return carry_out(planned.plan, todo, store, how)


def _nothing(planned: PlannedTable) -> BenchError:
    """Return the error of a table of which nothing can be had, that of a run if there is one."""
    from fewbench.report.reproduce import show

    for error in planned.errors.values():
        return error
    name = planned.table.table.name
    why = show.reasons(planned.table)[0].text
    fix = "bench reproduce lists tables; --dry-run says of each cell why"
    return BenchError(f"no number of {name} can be had here: {why}", fix=fix)


def _show_beside(planned: PlannedTable, request: Request, store: Store, form: str) -> None:
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
        caption = " · ".join(filter(None, [*_about(planned), *_cut(request)]))
        print_grids([show.beside_grid(rows, caption)], form)


def _cut(request: Request) -> list[str]:
    """Say which test rows ours lack."""
    limit = f"ours on a draw of {request.limit} test rows only: NOT COMPARABLE"
    leaks = "ours without test rows that stand in train or dev: NOT COMPARABLE"
    return [text for text, cut in ((limit, request.limit), (leaks, request.drop_leaks)) if cut]
