"""`bench doctor`."""

from __future__ import annotations

from pathlib import Path

from fewbench.cli.options import DataOption, JsonOption, ResultsOption
from fewbench.cli.out import print_json, print_list


def doctor(
    data: DataOption = None, results: ResultsOption = Path("results"), json: JsonOption = False
) -> None:
    """Say what is here, what is missing, and how to get it."""
    from fewbench.runner.installation import examine

    findings = examine(data, results)
    if json:
        print_json([finding._asdict() for finding in findings])
    else:
        print_list(
            ("", "what", "found", "fix"), [(f.mark, f.what, f.found, f.fix) for f in findings]
        )
