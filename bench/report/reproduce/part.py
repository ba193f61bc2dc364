"""The part of a table that was asked for: printed names, or methods and tasks of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.report.published import Published

Names = Callable[[Published], Sequence[str]]
"""The names that a number has for one option."""


class TablePart(NamedTuple):
    """The names after `--row`, `--column`, `--methods` and `--tasks`; none stands for all.

    Rows and columns are printed names, in any case, or any part of one. Methods are named with
    their settings or without, tasks with their source or without.
    """

    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    methods: Sequence[str] = ()
    tasks: Sequence[str] = ()

    def of(self, numbers: Sequence[Published]) -> list[Published]:
        """Return the numbers of this part.

        Raises:
            BenchError: a name that no number of the table has.
        """
        left = list(numbers)
        options: Sequence[tuple[str, Sequence[str], Names]] = (
            ("--row", self.rows, _row_names),
            ("--column", self.columns, _column_names),
            ("--methods", self.methods, _method_names),
            ("--tasks", self.tasks, _task_names),
        )
        for option, wanted, names in options:
            if wanted:
                loose = option in ("--row", "--column")
                left = _matching(option, wanted, left, names, loose=loose)
        return left


def _matching(
    option: str, wanted: Sequence[str], numbers: Sequence[Published], names: Names, *, loose: bool
) -> list[Published]:
    """Return the numbers of which a name is wanted, or with `loose` a part of a name."""
    found: set[int] = set()
    for text in wanted:
        fitting = {
            place for place, number in enumerate(numbers) if _fits(text, names(number), loose=loose)
        }
        if not fitting:
            allowed = {names(number)[0] for number in numbers} - {""}
            problem = f"{option} is '{text}', and no number of this table is of that name"
            raise BenchError(problem, allowed=allowed, given=text)
        found |= fitting
    return [number for place, number in enumerate(numbers) if place in found]


def _fits(text: str, names: Sequence[str], *, loose: bool) -> bool:
    if not loose:
        return text in names
    return any(text.casefold() in name.casefold() for name in names)


def _row_names(number: Published) -> list[str]:
    return [": ".join(filter(None, (number.group, number.row)))]


def _column_names(number: Published) -> list[str]:
    return [number.column]


def _method_names(number: Published) -> list[str]:
    return [number.method, number.method.partition(":")[0]]


def _task_names(number: Published) -> list[str]:
    source = f"@{number.task_source}" if number.task_source else ""
    return [number.task + source, number.task]
