"""`bench compare`."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import (
    OUTPUT,
    RUNS,
    DataOption,
    FormatOption,
    JsonOption,
    KOption,
    ProtocolOption,
    ResultsOption,
    SeedsOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    wanted_runs,
)
from fewbench.cli.out import chosen_format, note, print_csv, print_grids, print_json
from fewbench.cli.paired_options import RESAMPLES, RequiredAgainstOption, ResamplesOption
from fewbench.errors import BenchError, how_many

if TYPE_CHECKING:
    from fewbench.report.compare.rows import Versus
    from fewbench.report.compare.sides import Ranked
    from fewbench.store.record import Record
    from fewbench.types import Json

FIGURES = (".svg", ".pdf", ".png")


def compare(
    new: Annotated[
        str,
        typer.Argument(
            metavar="METHOD", help="a stored method, or a folder of results with one method"
        ),
    ],
    against: RequiredAgainstOption,
    tasks: TasksOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    protocol: ProtocolOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway",
            help="compare across protocols, splits and test sets, and mark it",
            rich_help_panel=RUNS,
        ),
    ] = False,
    resamples: ResamplesOption = RESAMPLES,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--figure",
            metavar="FILE",
            help="write a critical-difference diagram: .svg, .pdf or .png",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    form: FormatOption = "terminal",
    json: JsonOption = False,
) -> None:
    """Compare a method with others (--against NAMES or all) on the same splits and test items.

    Shows differences, intervals, p-values and ranks.
    """
    from fewbench.registry.settings import split_list
    from fewbench.report.compare.items import Labels
    from fewbench.report.compare.sides import ranking, sides_of, versus_all
    from fewbench.report.query import own_files
    from fewbench.report.today import Today

    form = chosen_format(form, json=json)
    if figure is not None and figure.suffix not in FIGURES:
        raise BenchError(
            f"no figure is written to '{figure.name}'", allowed=FIGURES, fix="--figure ranks.svg"
        )
    wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
    gc.disable()  # collecting takes a third of the time that ten thousand records need
    mine, others = sides_of(new, split_list(against, "--against"), results, wanted, note)
    labels = Labels(data, own_files(tasks))
    tables = versus_all(mine, others, labels, resamples, anyway=anyway, notify=note)
    ranks = ranking([mine, *others])
    used = [record for side in (mine, *others) for record in side.records]
    state = [*_state(used), *Today(own_files(tasks)).told(used)]
    if figure is not None:
        _draw(ranks, figure)
    if form == "json":
        print_json(_to_object(tables, ranks, state, resamples))
    elif form == "csv":
        print_csv([row for table in tables for row in _rows(table)])
    else:
        _print(tables, ranks, used, state, resamples, form)


def _to_object(
    tables: Sequence[Versus], ranks: Ranked, state: Sequence[str], resamples: int
) -> Json:
    from fewbench.report.compare.rows import to_object

    compared = []
    for table in tables:
        rows = [*table.rows, table.overall] if table.overall else table.rows
        compared.append(
            {
                "new": table.first,
                "against": table.second,
                "test_rows": table.kept or "all",
                "rows": [to_object(row) for row in rows],
                "notes": table.notes,
            }
        )
    ranked = ranks.ranking._asdict() | {"ks": ranks.ks} if ranks.ranking else None
    return {
        "tables": compared,
        "ranking": ranked,
        "why_no_ranking": ranks.why_none or None,
        "resamples": resamples,
        "runs": state,
    }


def _rows(table: Versus) -> list[Json]:
    from fewbench.report.compare.rows import to_object

    names = {"new": table.first, "against": table.second}
    rows = [*table.rows, table.overall]
    return [names | to_object(row) for row in rows if row is not None]


def _print(
    tables: Sequence[Versus],
    ranks: Ranked,
    used: Sequence[Record],
    state: Sequence[str],
    resamples: int,
    form: str,
) -> None:
    from fewbench.report.compare.sides import shared_by_all
    from fewbench.report.compare.text import legend, ranks_grid, to_grid

    shared = shared_by_all(used)
    notes = [*legend(tables, resamples), *state]
    if ranks.why_none:
        notes.append(ranks.why_none)
    grids = [to_grid(table, shared, []) for table in tables[:-1]]
    grids.append(to_grid(tables[-1], shared, notes))
    ranked = ranks_grid(ranks)
    if ranked is not None:
        grids.append(ranked)
    print_grids(grids, form)


def _state(records: Sequence[Record]) -> list[str]:
    """Return notes on the runs that failed, and those that older code of their methods made."""
    from fewbench.report.query import count_stale

    notes = []
    if failed := sum(record.status == "failed" for record in records):
        notes.append(f"left out: {how_many(failed, 'failed run')}; bench run --retry-failed")
    if stale := count_stale(records):
        notes.append(
            f"made by older code of the method: {stale} of {how_many(len(records), 'run')}; "
            "bench run --force"
        )
    return notes


def _draw(ranks: Ranked, figure: Path) -> None:
    from fewbench.plots.critical_difference import save
    from fewbench.report.compare.text import named

    if ranks.ranking is None:
        raise BenchError(
            f"there is nothing to draw: {ranks.why_none}", fix="--against fewer, or run more tasks"
        )
    try:
        save(named(ranks.ranking), figure)
    except OSError as error:
        raise BenchError(f"this cannot be written: {error.strerror}", where=str(figure)) from error
    note(f"wrote {figure}")
