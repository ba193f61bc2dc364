"""What commands cost in an earlier version of this project, and today, in turn.

    python benchmarks/earlier.py --before CHECKOUT --python VENV/bin/python --data DATA

CHECKOUT is a working tree of the earlier version, and VENV has it installed. Each version reads the
records that it came with, whose number is printed. A first plan has an empty cache.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import PROJECT, Seconds, interleave, process

SEEDS = "13,21,42,87,100"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, required=True, help="the earlier working tree")
    parser.add_argument("--python", type=Path, required=True, help="of the earlier version")
    parser.add_argument("--data", type=Path, help="the folder of GLUE; without it, demo is planned")
    parser.add_argument(
        "--rounds", type=int, default=3, help="measured rounds of each side (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if not (arguments.before / "results").is_dir() or not arguments.python.is_file():
        raise SystemExit(f"error: no earlier version in {arguments.before}, {arguments.python}")
    data = arguments.data and arguments.data.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        versions = [
            Version("today", Path(sys.executable), PROJECT, folder / "today"),
            Version("before", arguments.python.absolute(), arguments.before, folder / "before"),
        ]
        for version in versions:
            print(f"{version.name}: {version.records} records")
        for title, commands in COMMANDS.items():
            print(f"\n{title}")
            sides = {version.name: commands(version, data) for version in versions}
            interleave(sides, arguments.rounds)


class Version:
    """A version of this project: its interpreter, its records, and a folder for what it writes."""

    def __init__(self, name: str, python: Path, checkout: Path, folder: Path) -> None:
        self.name, self._python, self.folder = name, python, folder
        self.results = checkout.resolve() / "results"
        folder.mkdir()

    @property
    def records(self) -> int:
        """How many runs are stored; a measurement of a run has one more dot in its name."""
        return sum(file.name.count(".") == 1 for file in (self.results / "runs").rglob("*.json"))

    def timed(self, *given: str | Path) -> Callable[[], Seconds]:
        """Return what runs a command, and says how long it took."""
        command = [self._python, "-m", "fewbench", *given]
        return process(command, self.folder, XDG_CACHE_HOME=str(self.folder / "cache"))


def first_plan(version: Version, data: Path | None) -> Callable[[], Seconds]:
    """Return what plans all methods on GLUE, or on the demo, with an empty cache."""
    plan = version.timed("run", "--methods", "all", *_grid(data), "--results", "new", "--dry-run")

    def side() -> Seconds:
        shutil.rmtree(version.folder / "cache", ignore_errors=True)
        return plan()

    return side


def nothing_to_do(version: Version, data: Path | None) -> Callable[[], Seconds]:
    """Return what asks for runs that are all done, after its first round, which is not counted."""
    return version.timed("run", "--methods", "majority", *_grid(data), "--results", "done")


def _grid(data: Path | None) -> list[str | Path]:
    where: list[str | Path] = ["glue", "--data", data] if data else ["demo"]
    return ["--seeds", SEEDS, "--tasks", *where]


def of_records(*given: str) -> Callable[[Version, Path | None], Callable[[], Seconds]]:
    """Return what runs a command on the records that a version came with."""
    return lambda version, data: version.timed(*given, "--results", version.results)


def comparison(version: Version, data: Path | None) -> Callable[[], Seconds]:
    """Return what compares a method with all others, item by item where the data are there."""
    where: list[str | Path] = ["--data", data] if data else []
    given = ("compare", "ft", "--against", "all", "--student", "fewbench-micro")
    return version.timed(*given, *where, "--results", version.results)


COMMANDS: dict[str, Callable[[Version, Path | None], Callable[[], Seconds]]] = {
    "A first plan of all methods, five seeds": first_plan,
    "Nothing to do: majority, five seeds": nothing_to_do,
    "bench table": of_records("table"),
    "bench compare ft --against all": comparison,
    "bench leaderboard": of_records("leaderboard", "--out", "board.html"),
}
"""By its title, what returns a version's timed command."""


if __name__ == "__main__":
    main()
