"""`bench loyalty`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import JsonOption, ResultsOption
from fewbench.cli.out import note, print_grid, print_json
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.store.record import Record

BASES = ("e", "2")


def loyalty(
    teacher: Annotated[
        str, typer.Argument(help="the first digits of a run's key (bench table --json, bench ls)")
    ],
    student: Annotated[str, typer.Argument(help="those of another run on the same test rows")],
    base: Annotated[
        str, typer.Option("--base", help="of the logarithm: e, as the authors advise, or 2")
    ] = "e",
    results: ResultsOption = Path("results"),
    json: JsonOption = False,
) -> None:
    """Show how closely one run's predictions resemble another's: label and probability loyalty."""
    from fewbench.measure.loyalty import between
    from fewbench.store.selector import find_run
    from fewbench.store.store import Store

    if base not in BASES:
        raise BenchError(f"logarithms of base '{base}'", allowed=BASES, fix="--base 2")
    store = Store(results)
    first, second = find_run(store, teacher), find_run(store, student)
    found = between(first, second, store, base="2" if base == "2" else "e")
    kinds = {"label": found.label, "probability": found.probability}
    if json:
        runs = {"teacher": first.run.key, "student": second.run.key, "base": base, "n": found.n}
        print_json(runs | {kind: value._asdict() for kind, value in kinds.items()})
        return
    rows = [
        (kind, f"{100 * value.value:.1f}", f"{100 * value.low:.1f} – {100 * value.high:.1f}")
        for kind, value in kinds.items()
    ]
    print_grid(("loyalty", "mean", "95% interval"), rows, right=(1, 2))
    note(
        f"{_title(second)} to {_title(first)}; n={found.n}, logarithms of base {base}, bootstrap over items"
    )


def _title(record: Record) -> str:
    run = record.run
    return f"{run.key[:8]} {run.task}@{run.source} {run.method} k{run.k} s{run.seed}"
