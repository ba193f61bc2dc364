"""`bench fsck`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import RESULTS, JsonOption, ResultsOption
from fewbench.cli.out import note, print_json, say

if TYPE_CHECKING:
    from fewbench.store.damage import Damage
    from fewbench.types import Json


def fsck(
    results: ResultsOption = Path("results"),
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="set damaged files aside, remove leftovers",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check that every stored file is what was written."""
    from fewbench.store import paths
    from fewbench.store.store import Store

    store = Store(results)
    damages = store.fsck(repair=repair)
    if json:
        print_json([_to_object(damage) for damage in damages])
    else:
        for damage in damages:
            say(f"{damage.severity}: {damage}")
        wrong = {damage.path for damage in damages if damage.severity in ("damage", "newer")}
        files = paths.record_files(store.runs, lambda error: None)
        intact = sum(file not in wrong for file in files)
        note(f"{intact} intact records, {len(damages)} findings in {results}")
    if any(damage.serious for damage in damages):
        raise typer.Exit(3)


def _to_object(damage: Damage) -> Json:
    return {
        "path": damage.path,
        "reason": damage.reason,
        "severity": damage.severity,
        "done": damage.done,
    }
