"""`bench table`, `bench show` and `bench fsck`."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from fewbench.cli.options import JsonOption, MethodFiles, ResultsOption, TasksOption
from fewbench.cli.out import note, numbers, print_grid, print_grids, print_json, say
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.report.published import Published
    from fewbench.report.tables.table import Explain
    from fewbench.report.today import Today
    from fewbench.store.record import Record


class Shown(NamedTuple):
    """How tables are shown: what is of today, which method takes which task, the papers' numbers,
    and the median.
    """

    today: Today
    takes: Explain
    published: Sequence[Published] = ()
    median: bool = False


FORMATS = ("terminal", "markdown", "latex", "csv", "json")


def table(
    tasks: TasksOption = None,
    methods: Annotated[list[str] | None, typer.Option("--methods", help="only these")] = None,
    k: Annotated[str | None, typer.Option("--k", help="only these K")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="only this protocol")] = None,
    student: Annotated[
        str | None, typer.Option("--student", help="only this student, by its name")
    ] = None,
    rows: Annotated[
        str, typer.Option("--rows", help="of task, method, student, k, protocol: what a row is")
    ] = "method,student",
    columns: Annotated[
        str, typer.Option("--columns", help="likewise; the rest makes tables of its own")
    ] = "task",
    median: Annotated[
        bool, typer.Option("--median", help="show the median over seeds too")
    ] = False,
    beyond: Annotated[
        str | None,
        typer.Option(
            "--with", help="loyalty, attack, cost: a row a method, and what was measured of it"
        ),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="also what the papers print, marked")
    ] = False,
    results: ResultsOption = Path("results"),
    form: Annotated[
        str, typer.Option("--format", help="terminal, markdown, latex, csv or json")
    ] = "terminal",
    json: JsonOption = False,
) -> None:
    """Show stored runs: one row a method and one column a task, or what --rows and --columns say."""
    from fewbench.report.published import read_published
    from fewbench.report.query import Wanted, models_apart, own_files, task_names, who_takes_what
    from fewbench.report.tables.pivot import check_axes
    from fewbench.report.today import Today
    from fewbench.store.store import Store

    if form not in FORMATS:
        raise BenchError(
            f"unknown format '{form}'", allowed=FORMATS, given=form, fix="--format markdown"
        )
    axes = rows.split(","), columns.split(",")
    check_axes(*axes)
    store = Store(results)
    gc.disable()  # a process that reads ten thousand records and ends: collecting takes a third of its time
    known = models_apart(store.summaries())
    wanted = Wanted(
        task_names(tasks) if tasks else None, numbers("--k", k), None, protocol, student
    )
    records = [record for record in known if record in wanted]
    if methods:
        records = _of_methods(methods, records, results)
    if not records:
        what = (
            f"none of the {len(known)} stored runs is of that kind"
            if known
            else f"no runs are stored in {results}"
        )
        note(f"{what}; bench run makes some")
    today = Today(own_files(tasks))
    if beyond is not None:
        from fewbench.cli.measuring import print_beyond

        print_beyond(records, known, store, beyond, "json" if json else form, today)
    else:
        printed = read_published(results / "published") if published else ()
        shown = Shown(today, who_takes_what(own_files(tasks)), printed, median)
        print_tables(records, "json" if json else form, *axes, shown=shown)
    if unknown := today.unknown_tasks(records):
        note(
            f"not declared here, so what is of today cannot be told: {', '.join(unknown)} (--tasks FILE.toml)"
        )
    for damage in store.damaged:
        note(f"damaged: {damage}")
    if any(damage.serious for damage in store.damaged):
        raise typer.Exit(3)


def _of_methods(given: Sequence[str], records: Sequence[Record], results: Path) -> list[Record]:
    """Return the records of some methods: with all their settings, or with those that are named."""
    from fewbench.registry.settings import split_list
    from fewbench.report.query import by_label, find_label

    stored = by_label(records)
    plain = {name.partition(":")[0] for name in stored}
    names = split_list(",".join(given), "--methods")
    labels = {
        label
        for name in names
        if name in plain
        for label in stored
        if label.partition(":")[0] == name
    }
    labels |= {find_label(name, stored, str(results)) for name in names if name not in plain}
    return [record for label in sorted(labels) for record in stored[label]]


def print_tables(
    records: Sequence[Record],
    form: str,
    rows: Sequence[str] = ("method", "student"),
    columns: Sequence[str] = ("task",),
    *,
    shown: Shown | None = None,
) -> None:
    """Print the tables of some records on stdout, published numbers beside them."""
    from fewbench.registry.protocol import protocols
    from fewbench.report import render
    from fewbench.report.query import code_of, who_takes_what
    from fewbench.report.tables.beside import published_entries, published_rows
    from fewbench.report.tables.blocks import build, to_rows
    from fewbench.report.tables.entry import entries
    from fewbench.report.tables.pivot import grids
    from fewbench.report.today import Today

    today, takes, published, median = shown or Shown(Today(), who_takes_what())
    ddofs = {name: protocol.ddof for name, protocol in protocols().items()}
    blocks = build(records, code_of(records), ddofs, today.changed)
    if form in ("json", "csv"):
        flat = published_rows(blocks, published) if published else to_rows(blocks)
        print_json(flat) if form == "json" else print(render.to_csv(flat))
    elif blocks:
        cells = [*entries(blocks), *published_entries(blocks, published)]
        print_grids(grids(cells, rows, columns, median=median, takes=takes), form)


def show(
    key: Annotated[str, typer.Argument(help="the first four or more digits of a run's key")],
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text", help="what its kept model makes of a text; again for the second of two"
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, help="how much of that, where it is a ranking")
    ] = 5,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="folder of a backbone that the run was made of"),
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--tasks", help="your own .toml, if the run is of it")
    ] = None,
    methods: MethodFiles = None,
    results: ResultsOption = Path("results"),
    json: JsonOption = False,
) -> None:
    """Show one record: what was run, what came out, and how it was chosen; or what its model makes
    of a text.
    """
    import json as encoder

    from fewbench.report.query import own_files
    from fewbench.report.today import SAID, Today
    from fewbench.store.record import to_json
    from fewbench.store.store import Store

    store = Store(results)
    record = store.find(key)
    if text:
        from fewbench.measure.case_study import study
        from fewbench.measure.stored import Locations

        told = study(
            record,
            text,
            top,
            Locations(store, models=model or (), offline=True, methods=methods or ()),
        )
        if json:
            print_json(told)
        else:
            print_grid(tuple(told[0]), [list(row.values()) for row in told])
        return
    payload = encoder.loads(to_json(record))
    if json:
        print_json(payload)
        return
    _print_record(payload)
    for part in Today(own_files(tasks)).changed(record):
        note(f"not of today: {SAID[part]}")


def _print_record(payload: dict[str, Any]) -> None:
    """Print a record as tables of names and values."""
    trials = payload["selection"].pop("trials", [])
    trace = payload["details"].pop("traceback", None)
    for name in ("run", "scores", "selection"):
        print_grid((name, ""), [(key, _short(value)) for key, value in payload[name].items()])
    if len(trials) > 1:
        rows = [
            (_short(t["settings"]), _short(t["dev"]), _short(t.get("step")), str(t["seed"]))
            for t in trials
        ]
        print_grid(("trial", "dev", "step", "seed"), rows)
    for name in ("split", "details", "timing", "environment"):
        print_grid((name, ""), [(key, _short(value)) for key, value in payload[name].items()])
    for warning in payload["warnings"]:
        note(f"warning: {warning}")
    if payload["error"]:
        note(f"failed: {payload['error']}")
    if trace:
        note(str(trace))


def _short(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_short(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return (
            " ".join(map(_short, value))
            if not any(isinstance(v, list) for v in value)
            else str(value)
        )
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def fsck(
    results: ResultsOption = Path("results"),
    repair: Annotated[
        bool, typer.Option("--repair", help="set damaged files aside, remove leftovers")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check that every stored file is what was written."""
    from fewbench.store import paths
    from fewbench.store.store import Store

    store = Store(results)
    found = store.fsck(repair=repair)
    if json:
        print_json(
            [
                {"path": d.path, "reason": d.reason, "severity": d.severity, "done": d.done}
                for d in found
            ]
        )
    else:
        for damage in found:
            say(f"{damage.severity}: {damage}")
        wrong = {damage.path for damage in found if damage.severity in ("damage", "newer")}
        whole = sum(
            file not in wrong for file in paths.record_files(store.runs, lambda error: None)
        )
        note(f"{whole} whole records, {len(found)} findings in {results}")
    if any(damage.serious for damage in found):
        raise typer.Exit(3)
