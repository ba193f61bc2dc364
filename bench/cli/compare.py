"""`bench compare`."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import DataOption, JsonOption, ResultsOption
from fewbench.cli.out import note, numbers, print_grids, print_json
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.report.compare.rows import Versus
    from fewbench.report.compare.sides import Ranked
    from fewbench.store.record import Record

FORMATS = ("terminal", "markdown", "latex", "json")
FIGURES = (".svg", ".pdf", ".png")


def compare(
    new: Annotated[
        str, typer.Argument(help="a method as it is stored, or a folder of results with one method")
    ],
    against: Annotated[str, typer.Option("--against", help="methods, or all others")],
    tasks: Annotated[
        list[str] | None, typer.Option("--tasks", help="only these: tasks, suites, your own .toml")
    ] = None,
    k: Annotated[str | None, typer.Option("--k", help="only these K")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="only these split seeds")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="only this protocol")] = None,
    student: Annotated[
        str | None, typer.Option("--student", help="only this student, by its name")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="only this teacher, by its name")
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="compare other protocols, splits and test sets too, and mark it"
        ),
    ] = False,
    resamples: Annotated[
        int, typer.Option("--resamples", min=100, help="of the bootstrap, the permutations")
    ] = 5000,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", help="a critical-difference diagram: .svg, .pdf or .png"),
    ] = None,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    form: Annotated[
        str, typer.Option("--format", help="terminal, markdown, latex or json")
    ] = "terminal",
    json: JsonOption = False,
) -> None:
    """Compare a method with others on the same splits and test items: differences, intervals,
    p-values, ranks.
    """
    from fewbench.registry.settings import split_list
    from fewbench.report.compare.items import Labels
    from fewbench.report.compare.rows import to_object
    from fewbench.report.compare.sides import ranking, sides_of, versus_all
    from fewbench.report.query import Wanted, own_files, task_names
    from fewbench.report.today import Today

    if form not in FORMATS:
        raise BenchError(
            f"unknown format '{form}'", allowed=FORMATS, given=form, fix="--format markdown"
        )
    if figure is not None and figure.suffix not in FIGURES:
        raise BenchError(
            f"no figure is written to '{figure.name}'", allowed=FIGURES, fix="--figure ranks.svg"
        )
    wanted = Wanted(
        tasks=task_names(tasks) if tasks else None,
        ks=numbers("--k", k),
        seeds=numbers("--seeds", seeds),
        protocol=protocol,
        student=student,
        teacher=teacher,
    )
    gc.disable()  # a process that reads ten thousand records and ends
    mine, others = sides_of(new, split_list(against, "--against"), results, wanted, note)
    tables = versus_all(
        mine, others, Labels(data, own_files(tasks)), resamples, anyway=anyway, notify=note
    )
    ranks = ranking([mine, *others])
    used = [record for side in (mine, *others) for record in side.records]
    state = [*_state(used), *Today(own_files(tasks)).told(used)]
    if figure is not None:
        _draw(ranks, figure)
    if json or form == "json":
        rows = [[*table.rows, *filter(None, [table.overall])] for table in tables]
        shown = [
            {
                "new": table.first,
                "against": table.second,
                "test_rows": table.kept or "all",
                "rows": [*map(to_object, of)],
                "notes": table.notes,
            }
            for table, of in zip(tables, rows, strict=True)
        ]
        found = ranks.ranking._asdict() | {"ks": ranks.ks} if ranks.ranking else None
        why = {"why_no_ranking": ranks.why_none or None}
        print_json(
            {"tables": shown, "ranking": found, **why, "resamples": resamples, "runs": state}
        )
        return
    _print(tables, ranks, used, state, resamples, form)


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

    why = [ranks.why_none] if ranks.why_none else []
    notes = [*legend(tables, resamples), *state, *why]
    grids = [
        to_grid(table, shared_by_all(used), notes if table is tables[-1] else [])
        for table in tables
    ]
    ranked = ranks_grid(ranks)
    print_grids([*grids, *([ranked] if ranked else [])], form)


def _state(records: Sequence[Record]) -> list[str]:
    """Return what is to be said once of all runs: how many failed, how many are of older code."""
    from fewbench.report.query import count_stale

    failed = sum(record.status == "failed" for record in records)
    stale = count_stale(records)
    return [
        *([f"{failed} failed runs are left out: bench run --retry-failed"] if failed else []),
        *(
            [
                f"{stale} of {len(records)} runs were made by older code of their methods: bench run --force"
            ]
            if stale
            else []
        ),
    ]


def _draw(ranks: Ranked, figure: Path) -> None:
    from fewbench.plots.critical_difference import save

    if ranks.ranking is None:
        raise BenchError(
            f"there is nothing to draw: {ranks.why_none}", fix="--against fewer, or run more tasks"
        )
    try:
        save(ranks.ranking, figure)
    except OSError as error:
        raise BenchError(f"this cannot be written: {error.strerror}", where=str(figure)) from error
    note(f"wrote {figure}")
