"""How long the command line takes to start: whole processes, in turn with an interpreter that does
nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import Seconds, interleave


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


def process(command: Sequence[str]) -> Callable[[], Seconds]:
    """Return what runs a command to its end, its output thrown away, and says how long it took.

    Raises:
        SystemExit: the command failed; its time would say nothing.
    """

    def run() -> None:
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(
                f"error: {' '.join(command)} ended with {done.returncode}\n{done.stderr}"
            )

    return lambda: Seconds.of(run)


if __name__ == "__main__":
    main()
