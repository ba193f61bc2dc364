"""`bench show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import JsonOption, MethodFiles, ResultsOption
from fewbench.cli.out import note, print_grid, print_json

if TYPE_CHECKING:
    pass


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
    from fewbench.store.selector import find_run
    from fewbench.store.store import Store

    store = Store(results)
    record = find_run(store, key)
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
