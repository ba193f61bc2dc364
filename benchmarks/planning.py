"""What a plan costs before anything runs: the first of a grid, the same again, and one with nothing
to do.

Whole processes, with all that they start: the server that answers the methods' own checks outlives
its command by a moment and counts. The first plan has an empty cache; the others have what it kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import Seconds, interleave, process

from fewbench.store.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="demo", help="a suite (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="the folder of its data; none for demo")
    parser.add_argument(
        "--rounds", type=int, default=3, help="measured rounds of each (default: %(default)s)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), arguments.data and arguments.data.resolve()
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        where = ["--data", str(data)] if data else []
        grid = ["--tasks", arguments.tasks, "--seeds", "13,21,42,87,100", *where]
        done, runs = fill(folder / "done", arguments.tasks, data)
        print(f"all methods on {arguments.tasks}, five seeds; {runs} runs of majority are done")
        plan = bench("--methods", "all", *grid, "--results", str(folder / "new"), "--dry-run")
        nothing = bench("--methods", "majority", *grid, "--results", str(done))

        def first() -> Seconds:
            shutil.rmtree(folder / "cache", ignore_errors=True)
            return plan()

        interleave(
            {"the same plan again": plan, "nothing to do": nothing, "first plan": first},
            arguments.rounds,
        )


def bench(*given: str) -> Callable[[], Seconds]:
    """Return what runs `bench run`, and says how long it took."""
    return process([sys.executable, "-m", "fewbench", "run", *given])


def fill(results: Path, tasks: str, data: Path | None) -> tuple[Path, int]:
    """Run the majority method once, so that nothing is left to do; return where, and the runs."""
    seeds = (13, 21, 42, 87, 100)
    where = ["--data", str(data)] if data else []
    given = ["--methods", "majority", "--tasks", tasks, "--seeds", ",".join(map(str, seeds))]
    bench(*given, *where, "--results", str(results))()
    return results, sum(1 for _ in Store(results).records())


if __name__ == "__main__":
    main()
