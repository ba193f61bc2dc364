"""`bench show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import (
    OUTPUT,
    BackboneOption,
    JsonOption,
    MethodsOption,
    ResultsOption,
    TasksOption,
)
from fewbench.cli.out import note, print_json, print_list

if TYPE_CHECKING:
    from fewbench.types import Json


def show(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="a stored run: a key's first digits, or method/task/kN/sN (bench ls runs)",
        ),
    ],
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            metavar="TEXT",
            help="show what the kept model makes of a text; twice for a pair",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top", min=1, metavar="N", help="show N ranks of it", rich_help_panel=OUTPUT
        ),
    ] = 5,
    model: BackboneOption = None,
    tasks: TasksOption = None,
    methods: MethodsOption = None,
    results: ResultsOption = Path("results"),
    json: JsonOption = False,
) -> None:
    """Show one record: what was run and how it was chosen; or what its model makes of a text."""
    import json as encoder

    from fewbench.report.query import own_files
    from fewbench.report.today import SAID, Today
    from fewbench.store.record import to_json
    from fewbench.store.selector import find_run
    from fewbench.store.store import Store

    store = Store(results)
    record = find_run(store, run)
    if text:
        from fewbench.measure.case_study import study
        from fewbench.measure.stored import Locations

        places = Locations(store, models=model or (), offline=True, methods=methods or ())
        rows = study(record, text, top, places)
        if json:
            print_json(rows)
        else:
            print_list(tuple(rows[0]), [list(row.values()) for row in rows])
        return
    payload = encoder.loads(to_json(record))
    if json:
        print_json(payload)
        return
    _print_record(payload)
    for part in Today(own_files(tasks)).changed(record):
        note(f"not of today: {SAID[part]}")


def _print_record(payload: Json) -> None:
    """Print a record as tables of names and values."""
    trials = payload["selection"].pop("trials", [])
    trace = payload["details"].pop("traceback", None)
    _print_parts(payload, ("run", "scores", "selection"))
    if len(trials) > 1:
        names = ("settings", "dev", "step", "seed")
        rows = [_trial_texts(trial, names) for trial in trials]
        print_list(("trial", *names[1:]), rows)
    _print_parts(payload, ("split", "details", "timing", "environment"))
    for warning in payload["warnings"]:
        note(f"warning: {warning}")
    if payload["error"]:
        note(f"failed: {payload['error']}")
    if trace:
        note(str(trace))


def _trial_texts(trial: Json, names: Sequence[str]) -> list[str]:
    return [_short(trial.get(name)) for name in names]


def _print_parts(payload: Json, names: Sequence[str]) -> None:
    for name in names:
        print_list((name, ""), [(key, _short(value)) for key, value in payload[name].items()])
        print()


def _short(value: object) -> str:
    """Return a value in one line; floats have four digits."""
    if isinstance(value, dict):
        return " ".join(f"{name}={_short(inner)}" for name, inner in value.items())
    if isinstance(value, list) and not any(isinstance(inner, list) for inner in value):
        return " ".join(map(_short, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
