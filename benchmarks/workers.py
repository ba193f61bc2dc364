"""One worker against two: the same eight runs of the embedded student, whole commands.

Efficiency is the time with one worker over twice that with two, by the clock: it says something on
a machine whose cores are free.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import Seconds, interleave, process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="measured rounds of each (default: %(default)s)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sides = {f"{count} workers": side(Path(name), count) for count in (2, 1)}
        medians = interleave(sides, arguments.rounds)
    share = medians["1 workers"].wall / (2 * medians["2 workers"].wall)
    print(f"efficiency of two workers: {share:.2f}")


def side(folder: Path, workers: int) -> Callable[[], Seconds]:
    results = folder / str(workers)
    grid = ["--methods", "ft,prompt-ft", "--tasks", "demo-sentiment", "--seeds", "13,21,42,87"]
    command = [sys.executable, "-m", "fewbench", "run", *grid, "--results", str(results)]
    work = process([*command, "--workers", str(workers), "--device", "cpu"])

    def run() -> Seconds:
        shutil.rmtree(results, ignore_errors=True)
        return work()

    return run


if __name__ == "__main__":
    main()
