"""What whole commands take over large stores: seconds and peak memory, each in a process of its
own.

The records are those of `table_10000.py`. Every command is run twice in a row: the first time
without an index where the store can have one (`fewbench.store.index`), the second time with what
the first left. Nothing is warmed up otherwise: the files were written just before, so that they are
in the system's cache.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SIDES = ("method-0:temperature=0.0", "method-1:temperature=1.0")
"""Methods of the first and the second variant of `table_10000.runs`."""


class Taken(NamedTuple):
    """What a process took: seconds of the clock and of the processor, MB at its peak, and how it
    ended.
    """

    seconds: float
    cpu: float
    megabytes: float
    code: int | None

    def __str__(self) -> str:
        if self.code is None:
            return f"more than {self.seconds:.0f} s: stopped"
        failed = f", ended with {self.code}" if self.code else ""
        return f"{self.seconds:7.2f} s (cpu {self.cpu:6.2f} s) {self.megabytes:6.0f} MB{failed}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--records", type=int, nargs="+", default=[10_000, 100_000], help="(default: %(default)s)"
    )
    parser.add_argument(
        "--patience", type=float, default=180, help="seconds that a command may take"
    )
    parser.add_argument("--only", nargs="+", help="only these commands")
    arguments = parser.parse_args()
    for count in arguments.records:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            writer = f"import sys; from pathlib import Path; from table_10000 import write; write(Path({name!r}), {count})"
            subprocess.run([sys.executable, "-c", writer], check=True, cwd=Path(__file__).parent)
            print(f"{count} records", flush=True)
            for title, command in commands(root).items():
                if arguments.only is None or title in arguments.only:
                    measure(title, command, root, arguments.patience)


def commands(root: Path) -> Mapping[str, Sequence[str]]:
    """Return the commands by title."""
    results = ["--results", str(root)]
    return {
        "table": ["table", *results],
        "table --with cost": ["table", "--with", "loyalty,cost", *results],
        "fsck": ["fsck", *results],
        "run --dry-run": ["run", "--dry-run", "--methods", "ft", "--tasks", "demo", *results],
        "compare": ["compare", SIDES[0], "--against", SIDES[1], *results],
        "leaderboard": ["leaderboard", "--out", str(root / "page.html"), *results],
    }


def measure(title: str, command: Sequence[str], root: Path, patience: float) -> None:
    """Run a command without an index and with one; print what it took."""
    shutil.rmtree(root / ".index", ignore_errors=True)
    first = taken(command, patience)
    print(f"{title:20} first  {first}", flush=True)
    if first.code is not None:
        print(f"{title:20} again  {taken(command, patience)}", flush=True)
    page = root / "page.html"
    if title == "leaderboard" and page.exists():
        print(f"{title:20} page   {page.stat().st_size / 1e6:7.1f} MB")


def taken(command: Sequence[str], patience: float) -> Taken:
    """Run a command of bench to its end, or until patience is at its end."""
    start = time.monotonic()
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "fewbench", *command],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)
        ],
    )
    while time.monotonic() - start < patience:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return Taken(
                time.monotonic() - start,
                usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss * 1024 / 1e6,
                code,
            )
        time.sleep(0.01)
    os.kill(child, 9)
    os.wait4(child, 0)
    return Taken(patience, patience, 0, None)


if __name__ == "__main__":
    main()
