"""`bench plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fewbench.cli.options import ResultsOption, TasksOption
from fewbench.cli.out import absolute, note, numbers


def plot(
    figure: Annotated[
        str, typer.Argument(help="a figure, with its settings if any: k-scaling, pareto:cost=flops")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="the file to write: .svg, .png or .pdf", callback=absolute)
    ],
    tasks: TasksOption = None,
    methods: Annotated[
        list[str] | None, typer.Option("--methods", help="only these, whatever their settings")
    ] = None,
    k: Annotated[str | None, typer.Option("--k", help="only these K")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="only this protocol")] = None,
    student: Annotated[
        str | None, typer.Option("--student", help="only this student, by its name")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="also what the papers print, where it fits")
    ] = False,
    results: ResultsOption = Path("results"),
) -> None:
    """Draw a figure of stored runs (bench ls figures)."""
    from fewbench.registry.settings import split_list
    from fewbench.report import figures
    from fewbench.report.published import read_published
    from fewbench.report.query import Wanted, count_stale, own_files, task_names
    from fewbench.report.today import UNRECORDED, Today
    from fewbench.store.store import Store

    figures.check_format(out)
    figures.find(figure)
    store = Store(results)
    wanted = Wanted(
        task_names(tasks) if tasks else None, numbers("--k", k), None, protocol, student
    )
    asked = split_list(",".join(methods), "--methods") if methods else ()
    records, left_out = figures.drawable(store, wanted, asked)
    if left_out:
        note(
            f"{left_out} runs share cell and split seed with another, and are not drawn: bench table names them"
        )
    today = Today(own_files(tasks))
    earlier = sum(bool({*today.changed(record)} - {UNRECORDED}) for record in records)
    if earlier:
        note(
            f"{earlier} of {len(records)} runs were not made from what is declared today: bench table says what differs"
        )
    printed = read_published(results / "published") if published else ()
    figures.save(figures.draw(figure, figures.Material(records, store, printed)), out)
    for damage in store.damaged:
        note(f"damaged: {damage}")
    if old := count_stale(records):
        note(
            f"{old} of {len(records)} runs were made by older code of their methods: bench run --force redoes them"
        )
    note(f"{out}: {figure} of {len(records)} stored runs")
