"""`bench fsck`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import JsonOption, ResultsOption
from fewbench.cli.out import note, print_json, say

if TYPE_CHECKING:
    pass


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
