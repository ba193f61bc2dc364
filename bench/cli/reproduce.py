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
from fewbench.cli.out import chosen_format, duration, note, numbers
from fewbench.cli.requests import names_listed
from fewbench.cli.run import HowToRun, carry_out
from fewbench.cli.show_reproduced import about, list_tables, show_beside, show_planned
from fewbench.errors import BenchError
from fewbench.runner.environment import cores

if TYPE_CHECKING:
    from fewbench.report.reproduce.jobs import PlannedTable
    from fewbench.report.reproduce.tables import PrintedTable
    from fewbench.runner.jobs import Job
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
        show_beside(planned, request, store, form)
        return
    todo = planned.plan.todo(force=force, retry_failed=retry_failed)
    planned, todo = _without_refused(planned, todo)
    limit_s = duration("--timeout", timeout)
    how = HowToRun(workers, device, threads, limit_s, fail_fast, per_device=per_device)
    if dry_run:
        show_planned(planned, todo, request, store, how, form)
        return
    failed = _carry_out(planned, todo, store, how)
    show_beside(planned, request, store, form)
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
    list_tables(printed if paper is None else of_paper(printed, paper), form)
    return None


def _without_refused(planned: PlannedTable, todo: Sequence[Job]) -> tuple[PlannedTable, list[Job]]:
    """Drop the runs that models or methods refuse, whose cells then say so."""
    from fewbench.runner.refusals import refused_jobs

    refused = refused_jobs(planned.plan, todo, cores())
    return planned.without(refused), [job for job in todo if job.key not in refused]


def _carry_out(planned: PlannedTable, todo: Sequence[Job], store: Store, how: HowToRun) -> bool:
    """Carry out the runs of a table; return True if any has failed, now or earlier.

    Raises:
        BenchError: no cell of it can be had.
    """
    from fewbench.report.reproduce import show

    if not planned.plan.jobs:
        raise _nothing(planned)
    for line in [*about(planned), *show.how_had(planned.table)]:
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
