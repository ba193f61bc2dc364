"""`bench plot`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.listing import ResultsOption
from fewbench.cli.out import note
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.record import Record


def plot(
    figure: Annotated[str, typer.Argument(help="a figure, with its settings if any: k-scaling, pareto:cost=flops")],
    out: Annotated[Path, typer.Option("--out", help="the file to write: .svg, .png or .pdf")],
    tasks: Annotated[list[str] | None, typer.Option("--tasks", help="only these: tasks, task@source, suites")] = None,
    methods: Annotated[list[str] | None, typer.Option("--methods", help="only these, whatever their settings")] = None,
    k: Annotated[list[int] | None, typer.Option("--k", help="only this K; once for each")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="only this protocol")] = None,
    student: Annotated[str | None, typer.Option("--student", help="only this student, by its name")] = None,
    published: Annotated[bool, typer.Option("--published", help="also what the papers print, where it fits")] = False,
    results: ResultsOption = Path("results"),
) -> None:
    """Draw a figure of stored runs (bench ls figures)."""
    from fewbench import figures
    from fewbench.published import read_published
    from fewbench.store import Store

    figures.check_format(out)
    figures.find(figure)
    store = Store(results)
    records = [record for record in store.records() if record.status == "ok"]
    if tasks:
        names = _task_names(tasks)
        records = [r for r in records if r.run.task in names or f"{r.run.task}@{r.run.source}" in names]
    if methods:
        wanted, known = {name for given in methods for name in given.split(",")}, {r.run.method for r in records}
        for missing in sorted(wanted - known):
            raise BenchError(
                f"no such run has the method '{missing}'", where=str(results), allowed=known, given=missing
            )
        records = [r for r in records if r.run.method in wanted]
    records = [r for r in records if (not k or r.run.k in k) and protocol in (None, r.run.protocol)]
    if student is not None:
        records = [r for r in records if r.run.student is None or r.run.student.name == Path(student).name]
    numbers = read_published(results / "published") if published else ()
    figures.save(figures.draw(figure, figures.Material(records, store, numbers)), out)
    for damage in store.damaged:
        note(f"damaged: {damage}")
    if old := _stale(records):
        note(f"{old} of {len(records)} runs were made by older code of their methods: bench run --force redoes them")
    note(f"{out}: {figure} of {len(records)} stored runs")


def _task_names(given: Iterable[str]) -> set[str]:
    from fewbench.plan import choose_tasks

    names = [name for text in given for name in text.split(",")]
    return {task.name for task in choose_tasks([n for n in names if "@" not in n])} | {n for n in names if "@" in n}


def _stale(records: Iterable[Record]) -> int:
    from fewbench.registry import methods

    known, records = methods(), list(records)
    code = {name: known[name].code_hash() for name in {r.run.method for r in records} & known.keys()}
    return sum(code.get(r.run.method, r.method_code) != r.method_code for r in records)
