"""`bench loyalty`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fewbench.cli.options import HOW, JsonOption, ResultsOption
from fewbench.cli.out import note, print_json, print_list
from fewbench.errors import BenchError

BASES = ("e", "2")


def loyalty(
    teacher: Annotated[
        str,
        typer.Argument(
            metavar="TEACHER",
            help="a stored run: a key's first digits, or method/task/kN/sN (bench ls runs)",
        ),
    ],
    student: Annotated[
        str, typer.Argument(metavar="STUDENT", help="another, on the same test items")
    ],
    base: Annotated[
        str,
        typer.Option(
            "--base",
            metavar="e|2",
            help="base of the logarithm; the authors advise e",
            rich_help_panel=HOW,
        ),
    ] = "e",
    results: ResultsOption = Path("results"),
    json: JsonOption = False,
) -> None:
    """Measure how closely a student's predictions follow its teacher's.

    Shows label loyalty and probability loyalty with 95% intervals.
    """
    from fewbench.measure.loyalty import between
    from fewbench.store.selector import find_run, title_of
    from fewbench.store.store import Store

    if base not in BASES:
        raise BenchError(f"logarithms of base '{base}'", allowed=BASES, fix="--base 2")
    store = Store(results)
    first, second = find_run(store, teacher), find_run(store, student)
    loyalties = between(first, second, store, base="2" if base == "2" else "e")
    kinds = {"label": loyalties.label, "probability": loyalties.probability}
    if json:
        runs = {"teacher": first.run.key, "student": second.run.key, "base": base}
        estimates = {kind: estimate._asdict() for kind, estimate in kinds.items()}
        print_json({**runs, "n": loyalties.n, **estimates})
        return
    rows = [
        (kind, f"{100 * mean.value:.1f}", f"{100 * mean.low:.1f} – {100 * mean.high:.1f}")
        for kind, mean in kinds.items()
    ]
    print_list(("loyalty", "mean", "95% interval"), rows, right=(1, 2))
    note(
        f"{title_of(second.run)} to {title_of(first.run)}; n={loyalties.n}, "
        f"logarithms of base {base}, bootstrap over items"
    )
