"""`bench plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fewbench.cli.options import (
    OUTPUT,
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
from fewbench.cli.out import absolute, note
from fewbench.errors import how_many


def plot(
    figure: Annotated[
        str, typer.Argument(help="a figure, with its settings if any: k-scaling, pareto:cost=flops")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            help="the file or folder to write",
            callback=absolute,
            rich_help_panel=OUTPUT,
        ),
    ],
    tasks: TasksOption = None,
    methods: MethodsOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    protocol: ProtocolOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    published: PublishedOption = False,
    results: ResultsOption = Path("results"),
) -> None:
    """Draw a figure of stored runs as .svg, .png or .pdf (bench ls figures)."""
    from fewbench.registry.settings import split_list
    from fewbench.report import figures
    from fewbench.report.foreign.rows import numbers_beside
    from fewbench.report.query import count_stale, own_files
    from fewbench.report.today import UNRECORDED, Today
    from fewbench.store.store import Store

    figures.check_format(out)
    figures.find(figure)
    store = Store(results)
    wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
    asked = split_list(",".join(methods), "--methods") if methods else ()
    records, left_out = figures.drawable(store, wanted, asked)
    if left_out:
        note(
            f"not drawn: {how_many(left_out, 'run')} with the cell and split seed of another; "
            "bench table names them"
        )
    today = Today(own_files(tasks))
    earlier = sum(bool({*today.changed(record)} - {UNRECORDED}) for record in records)
    if earlier:
        note(
            f"not made from what is declared today: {earlier} of {how_many(len(records), 'run')}; "
            "bench table says what differs"
        )
    printed = numbers_beside(results) if published else ()
    figures.save(figures.draw(figure, figures.Material(records, store, printed)), out)
    for damage in store.damaged:
        note(f"damaged: {damage}")
    if old := count_stale(records):
        note(
            f"made by older code of the method: {old} of {how_many(len(records), 'run')}; "
            "bench run --force redoes them"
        )
    note(f"{out}: {figure} of {how_many(len(records), 'stored run')}")
