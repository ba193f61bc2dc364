"""`bench table`."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fewbench.cli.options import (
    OUTPUT,
    DataOption,
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
from fewbench.cli.out import chosen_format, fail_if_damaged, note
from fewbench.cli.paired_options import AgainstOption
from fewbench.cli.signs import TableLook
from fewbench.cli.table_print import FLAT, Shown, print_measures, print_tables
from fewbench.errors import BenchError, how_many

if TYPE_CHECKING:
    from fewbench.report.published import Published
    from fewbench.report.tables.order import Order
    from fewbench.store.record import Record
    from fewbench.store.seed_runs import SeedRuns
    from fewbench.store.store import Store


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
            help="a row per method, student, teacher, task, template, k or protocol; or its values",
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
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAMES",
            help="a column per metric that is named, or all of them; else the task's own",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    cost: Annotated[
        bool,
        typer.Option(
            "--cost",
            help="show training time and memory, parameters and size too",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    with_teacher: Annotated[
        bool,
        typer.Option(
            "--with-teacher",
            help="show the runs that taught these too, in rows of their own",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    against: AgainstOption = None,
    in_float: Annotated[
        bool,
        typer.Option(
            "--float",
            help="with --format latex: a float with caption, label and notes, as bench paper has",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    published: PublishedOption = False,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    form: FormatOption = "terminal",
    json: JsonOption = False,
) -> None:
    """Show stored runs: a row per method and a column per task, or what --rows and --columns say.

    Methods, tasks and K that are named stand in the order in which they are named. With --against
    METHOD, cells that differ from it significantly are marked, by the tests of bench compare.
    """
    from fewbench.report.query import models_apart, of_methods, own_files, who_takes_what
    from fewbench.report.tables.order import in_order, read_axes
    from fewbench.report.tables.pivot import check_axes
    from fewbench.report.today import Today
    from fewbench.store.store import Store

    form = chosen_format(form, json=json)
    look = TableLook(against, in_float)
    look.check(form, FLAT, measures)
    store = Store(results)
    gc.disable()  # collecting takes a third of the time that ten thousand records need
    extras = Extras(metric, cost, with_teacher)
    stored = models_apart(_stored(store, against, measures, extras))
    down, down_order = read_axes("--rows", rows.split(","), stored)
    across, across_order = read_axes("--columns", columns.split(","), stored)
    check_axes(down, across)
    extras.check(measures, ["task"] if form in FLAT else across)
    wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
    wanted.check(stored, str(results))
    named = {**down_order, **across_order}
    groups = of_methods(methods, stored, str(results)) if methods else stored
    groups = in_order(wanted.of(groups), named)
    records, known = _records(groups), _records(stored)
    if not groups:
        note(_why_empty(sum(len(group.runs) for group in stored), results))
    today = Today(own_files(tasks))
    if measures is not None:
        print_measures(records, known, store, measures, form, today)
    else:
        printed = _printed(results, published)
        shown = Shown(today, who_takes_what(own_files(tasks)), printed, median)
        groups, shown = extras.add(groups, known, store, shown)
        tests = look.tests(records, store, data, tasks)
        order = {**_order(methods, tasks, k), **named}
        shown = shown._replace(signs=tests, in_float=in_float)
        print_tables(groups, form, down, across, shown=shown, order=order)
    if unknown := today.unknown_tasks(records):
        names = ", ".join(unknown)
        note(f"not declared here, so changes cannot be seen: {names} (--tasks FILE.toml)")
    fail_if_damaged(store.damaged)


class Extras(NamedTuple):
    """The options that add metrics, costs and teachers to the runs asked for."""

    metric: str | None
    cost: bool
    teacher: bool

    @property
    def any(self) -> bool:
        """True if one of them is asked for."""
        return self.metric is not None or self.cost or self.teacher

    def check(self, measures: str | None, columns: Sequence[str]) -> None:
        """Refuse what does not go together.

        Raises:
            BenchError: extras with `--with`, or costs beside columns that are not tasks.
        """
        options = {
            "--metric": self.metric is not None,
            "--cost": self.cost,
            "--with-teacher": self.teacher,
        }
        given = [name for name, is_given in options.items() if is_given]
        if measures is not None and given:
            raise BenchError(
                f"--with makes tables of its own, which have no {given[0]}",
                fix=f"--with {measures}, or {given[0]}",
            )
        if self.cost and list(columns) != ["task"]:
            raise BenchError(
                "--cost stands beside columns of tasks",
                given=f"--columns {','.join(columns)}",
                fix="--columns task, or --format csv, which has the costs of each cell",
            )

    def add(
        self, groups: list[SeedRuns], stored: Iterable[Record], store: Store, shown: Shown
    ) -> tuple[list[SeedRuns], Shown]:
        """Return the runs with teachers and by all metrics asked for, and how to show them.

        Raises:
            BenchError: no record has a score by a metric.
        """
        from fewbench.registry.settings import split_list
        from fewbench.report.tables.blocks import no_costs
        from fewbench.report.tables.costs import RunCosts
        from fewbench.report.tables.metrics import by_metrics
        from fewbench.report.tables.teachers import with_teachers
        from fewbench.store.seed_runs import SeedRuns

        if not self.any:
            return groups, shown
        records = _records(groups)
        if self.teacher:
            taught = with_teachers(records, stored)
            records, shown = taught.records, shown._replace(teachers=taught.teachers)
            if taught.without:
                note(
                    f"not stored, or made again: the teachers of {how_many(taught.without, 'run')}"
                )
        if self.metric is not None:
            chosen = by_metrics(records, split_list(self.metric, "--metric"))
            records = chosen.records
            if chosen.left_out:
                note(
                    f"left out: {how_many(chosen.left_out, 'run')} without a score by {self.metric}"
                )
        costs = RunCosts(store) if self.cost else no_costs
        alone = [SeedRuns.alone(record, costs(record)) for record in records]
        return alone, shown._replace(costs=self.cost)


def _stored(
    store: Store, against: str | None, measures: str | None, extras: Extras
) -> list[SeedRuns]:
    """Return the runs of a store: each with its record, where more is shown than their scores.

    Where they are tested, the records are whole ones; else they are summaries.
    """
    from fewbench.store.seed_runs import SeedRuns

    if against is None and measures is None and not extras.any:
        return store.seed_runs()
    records = store.summaries() if against is None else store.records()
    return [SeedRuns.alone(record) for record in records]


def _records(groups: Iterable[SeedRuns]) -> list[Record]:
    """Return a record of each group: the only one where more is shown than scores."""
    return [group.like for group in groups]


def _printed(results: Path, published: bool) -> Sequence[Published]:
    """Return the published numbers and those beside the results, if they are to be shown."""
    if not published:
        return ()
    from fewbench.report.foreign.rows import numbers_beside

    return numbers_beside(results)


def _why_empty(stored: int, results: Path) -> str:
    if stored:
        return f"none of the {stored} stored runs is of that kind; bench ls runs lists them"
    return f"no runs are stored in {results}; bench run makes some"


def _order(methods: list[str] | None, tasks: list[str] | None, k: str | None) -> Order:
    """Return the order of the methods, tasks and K that are named."""
    from fewbench.report.query import method_order, task_order

    order: dict[str, Sequence[str]] = {}
    if methods:
        order["method"] = method_order(methods)
    if tasks:
        order["task"] = task_order(tasks)
    if k:
        order["k"] = [number.strip() for number in k.split(",")]
    return order
