"""`bench table`, `bench show` and `bench fsck`."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.listing import JsonOption, ResultsOption
from fewbench.cli.out import console, note, print_grid, print_json
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.record import Record


FORMATS = ("terminal", "markdown", "latex", "csv", "json")


def table(
    tasks: Annotated[list[str] | None, typer.Option("--tasks", help="only these: tasks, suites")] = None,
    methods: Annotated[list[str] | None, typer.Option("--methods", help="only these")] = None,
    k: Annotated[int | None, typer.Option("--k", help="only this K")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="only this protocol")] = None,
    student: Annotated[str | None, typer.Option("--student", help="only this student, by its name")] = None,
    results: ResultsOption = Path("results"),
    form: Annotated[str, typer.Option("--format", help="terminal, markdown, latex, csv or json")] = "terminal",
    json: JsonOption = False,
) -> None:
    """Show stored runs: one row a method, one column a task."""
    from fewbench.store import Store

    if form not in FORMATS:
        raise BenchError(f"unknown format '{form}'", allowed=FORMATS, given=form, fix="--format markdown")
    store = Store(results)
    gc.disable()  # a process that reads ten thousand records and ends: collecting takes a third of its time
    records = list(store.records())
    found = len(records)
    if tasks:
        names = _task_names(tasks)
        records = [r for r in records if r.run.task in names or f"{r.run.task}@{r.run.source}" in names]
    if methods:
        wanted = {name for given in methods for name in given.split(",")}
        _check_known("method", wanted, {r.run.method for r in records}, results)
        records = [r for r in records if r.run.method in wanted]
    records = [r for r in records if k in (None, r.run.k) and protocol in (None, r.run.protocol)]
    if student is not None:
        records = [r for r in records if r.run.student is None or r.run.student.name == Path(student).name]
    if not records:
        what = f"none of the {found} stored runs is of that kind" if found else f"no runs are stored in {results}"
        note(f"{what}; bench run makes some")
    print_tables(records, "json" if json else form)
    for damage in store.damaged:
        note(f"damaged: {damage}")
    if any(damage.serious for damage in store.damaged):
        raise typer.Exit(3)


def _task_names(given: Sequence[str]) -> set[str]:
    from fewbench.plan import choose_tasks

    names = [name for text in given for name in text.split(",")]
    plain = {task.name for task in choose_tasks([name for name in names if "@" not in name])}
    return plain | {name for name in names if "@" in name}


def _check_known(what: str, wanted: set[str], known: set[str], results: Path) -> None:
    for name in sorted(wanted - known):
        raise BenchError(f"no stored run has the {what} '{name}'", where=str(results), allowed=known, given=name)


def print_tables(records: Sequence[Record], form: str) -> None:
    """Print the tables of some records on stdout."""
    from fewbench import render
    from fewbench.protocol import protocols
    from fewbench.registry import methods
    from fewbench.table import build, to_rows

    used = {record.run.method for record in records}
    code = {name: info.code_hash() for name, info in methods().items() if name in used}
    blocks = build(records, code, {name: protocol.ddof for name, protocol in protocols().items()})
    if form == "json":
        print_json(to_rows(blocks))
    elif form == "csv":
        print(render.to_csv(blocks))
    elif form == "terminal":
        out = console()
        for block in blocks:
            for part in render.terminal(render.to_grid(block), out.width):
                out.print(part)
    else:
        draw = render.markdown if form == "markdown" else render.latex
        print("\n\n".join(draw(render.to_grid(block)) for block in blocks))


def show(
    key: Annotated[str, typer.Argument(help="the first four or more digits of a run's key")],
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="what its kept model makes of a text; again for the second of two"),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="how much of that, where it is a ranking")] = 5,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="folder of a backbone that the run was made of")
    ] = None,
    results: ResultsOption = Path("results"),
    json: JsonOption = False,
) -> None:
    """Show one record: what was run, what came out, and how it was chosen; or what its model makes of a text."""
    import json as encoder

    from fewbench.record import to_json
    from fewbench.store import Store

    store = Store(results)
    record = store.find(key)
    if text:
        from fewbench.runner.stored import World
        from fewbench.runner.study import study

        told = study(record, text, top, World(store, models=model or (), offline=True))
        if json:
            print_json(told)
        else:
            print_grid(tuple(told[0]), [list(row.values()) for row in told])
        return
    payload = encoder.loads(to_json(record))
    if json:
        print_json(payload)
        return
    trials = payload["selection"].pop("trials", [])
    for name in ("run", "scores", "selection"):
        print_grid((name, ""), [(key, _short(value)) for key, value in payload[name].items()])
    if len(trials) > 1:
        rows = [(_short(t["settings"]), _short(t["dev"]), _short(t.get("step")), str(t["seed"])) for t in trials]
        print_grid(("trial", "dev", "step", "seed"), rows)
    for name in ("split", "details", "timing", "environment"):
        print_grid((name, ""), [(key, _short(value)) for key, value in payload[name].items()])
    for warning in payload["warnings"]:
        note(f"warning: {warning}")
    if record.error:
        note(f"failed: {record.error}")


def _short(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_short(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return " ".join(map(_short, value)) if not any(isinstance(v, list) for v in value) else str(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def fsck(
    results: ResultsOption = Path("results"),
    repair: Annotated[bool, typer.Option("--repair", help="set damaged files aside, remove leftovers")] = False,
    json: JsonOption = False,
) -> None:
    """Check that every stored file is what was written."""
    from fewbench.store import Store

    store = Store(results)
    found = store.fsck(repair=repair)
    if json:
        print_json([{"path": d.path, "reason": d.reason, "severity": d.severity, "done": d.done} for d in found])
    else:
        for damage in found:
            print(f"{damage.severity}: {damage}")
        note(f"{sum(1 for _ in store.records())} whole records, {len(found)} findings in {results}")
    if any(damage.serious for damage in found):
        raise typer.Exit(3)
