"""The `bench run` commands that make the runs of a table, and no others."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fewbench.report.preset_names import with_preset
from fewbench.report.reproduce.cells import CellRuns

INDENT = "    "


class RunCommand(NamedTuple):
    """A `bench run` command: methods, tasks, and its other options with their values."""

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    options: tuple[tuple[str, str], ...]

    @property
    def line(self) -> str:
        """The command in one line."""
        methods = f"--methods {shlex.quote(','.join(self.methods))}"
        tasks = f"--tasks {shlex.quote(','.join(self.tasks))}"
        return " ".join(["bench run", methods, tasks, *self._others()])

    def folded(self, width: int) -> str:
        """Return the command in lines of at most `width` columns, as far as its names allow it.

        Lists that are too long for a line are given in parts: an option may be repeated.
        """
        room = width - len(INDENT) - len(" \\")
        pieces = [
            *_listed("--methods", self.methods, room),
            *_listed("--tasks", self.tasks, room),
            *self._others(),
        ]
        lines = ["bench run"]
        for piece in pieces:
            if len(lines[-1]) + 1 + len(piece) > width - 2:
                lines.append(INDENT + piece)
            else:
                lines[-1] += " " + piece
        return " \\\n".join(lines)

    def _others(self) -> list[str]:
        return [f"{name} {shlex.quote(value)}" for name, value in self.options]


def _listed(option: str, names: Iterable[str], room: int) -> list[str]:
    """Return an option with a list of names, repeated where the list is wider than the room."""
    pieces: list[str] = []
    for name in map(shlex.quote, names):
        if pieces and len(pieces[-1]) + 1 + len(name) <= room:
            pieces[-1] += f",{name}"
        else:
            pieces.append(f"{option} {name}")
    return pieces


def commands(seeds: Mapping[CellRuns, Sequence[int]], limit: int | None = None) -> list[RunCommand]:
    """Return the commands that make some runs; methods with the same tasks share one.

    Args:
        seeds: the split seeds of each run; none for the protocol's.
        limit: test rows, drawn.
    """
    tasks: dict[tuple[CellRuns, str], list[str]] = {}
    for run, numbers in seeds.items():
        alike = run._replace(task=""), ",".join(map(str, numbers))
        tasks.setdefault(alike, []).append(run.task.partition("+")[0])
    methods: dict[tuple[CellRuns, str], list[str]] = {}
    for (run, listed), names in tasks.items():
        shared = run._replace(method="", task=",".join(names))
        methods.setdefault((shared, listed), []).append(with_preset(run.method))
    drawn = str(limit or "")
    return [_command(shared, names, listed, drawn) for (shared, listed), names in methods.items()]


def _command(shared: CellRuns, methods: Sequence[str], seeds: str, limit: str) -> RunCommand:
    options = {
        "--k": shared.k,
        "--seeds": seeds,
        "--protocol": shared.protocol,
        "--limit": limit,
        "--template": shared.template,
        "--student": shared.student,
        "--teacher": shared.teacher,
    }
    given = tuple((name, value) for name, value in options.items() if value)
    return RunCommand(tuple(methods), tuple(shared.task.split(",")), given)
