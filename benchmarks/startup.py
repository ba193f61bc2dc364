"""How long the command line takes to start: whole processes, in turn with an interpreter that does
nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from measure import interleave, process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=15, help="measured rounds of each (default: %(default)s)"
    )
    arguments = parser.parse_args()
    bench = Path(sys.executable).with_name("bench")
    command = [str(bench)] if bench.exists() else [sys.executable, "-m", "fewbench"]
    interleave(
        {
            "python -c pass": process([sys.executable, "-c", "pass"]),
            "bench --help": process([*command, "--help"]),
            "bench ls tasks": process([*command, "ls", "tasks"]),
        },
        arguments.rounds,
    )


if __name__ == "__main__":
    main()
