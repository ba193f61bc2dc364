"""What rows, columns and protocols are called in one table: what tells twins apart, and what of it
is not of today.

Two columns of one task, or two rows of one entrant, answer different questions; their headers say
so and a note below the table says in words what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from fewbench.report.tables.blocks import TableRow
from fewbench.report.today import OF_METHOD, OF_PROTOCOL, OF_TASK, UNRECORDED
from fewbench.store.cell import TaskCell

H = TypeVar("H", bound=Hashable)

DIGITS = 6
"""Of a hash, in a name."""

APART = {
    "version": "another version",
    "definition": "another definition",
    "train_set": "trained on other rows",
    "test_set": "tested on other rows",
    "metric": "another metric",
    "positive": "F1 of another class",
}
"""In words, what two columns of one task may differ in, by field of `TaskCell`."""

HASHES = ("definition", "train_set", "test_set", "version")


class Column(NamedTuple):
    """A column's header: a line each for the task, its source and prompt, what tells it apart, and
    its metric.
    """

    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """All but the metric on one line: `sst-2@lm-bff (earlier definition)`."""
        task, source, *others = self.lines[:-1]
        return " ".join([task + source, *others])


class Names:
    """The names in one table.

    Args:
        columns: those it shows, each with what of it is not today's.
        rows: likewise.
    """

    def __init__(
        self, columns: Mapping[TaskCell, Iterable[str]], rows: Mapping[TableRow, Iterable[str]]
    ) -> None:
        mixed = len({column.known for column in columns}) > 1
        earlier = {column: _earlier(parts, OF_TASK) for column, parts in columns.items()}
        self.columns = _told_apart(columns, lambda column: _plain(column, earlier[column], mixed))
        self.notes = _notes(columns)
        self._rows = _row_names({row: _earlier(parts, OF_METHOD) for row, parts in rows.items()})
        self.earlier = frozenset(column for column, remark in earlier.items() if remark)

    def column(self, column: TaskCell) -> Column:
        """Return a column's header."""
        return Column(self.columns[column])

    def row(self, row: TableRow) -> str:
        """Return a method as its row is called, with its teacher or corpus (see `telling`)."""
        return self._rows[row.as_method]


def telling(rows: Iterable[TableRow]) -> dict[TableRow, TableRow]:
    """Return each row without its teacher or corpus where its method and student have but that one."""
    rows = list(rows)
    blank = {
        field: {place for place, names in _names_of(rows, field).items() if len(names) == 1}
        for field in ("teacher", "corpus")
    }
    shown = {}
    for row in rows:
        dull = {field: "" for field, places in blank.items() if (row.method, row.student) in places}
        shown[row] = row._replace(entrant=row.entrant._replace(**dull))
    return shown


def _names_of(rows: Iterable[TableRow], field: str) -> dict[tuple[str, str], set[str]]:
    """Return the teachers or the corpora of each method and student."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        found.setdefault((row.method, row.student), set()).add(getattr(row.entrant, field))
    return found


def protocol_names(terms: Mapping[tuple[str, str], Iterable[str]]) -> dict[tuple[str, str], str]:
    """Return what to call protocols, by name and hash of constants, each with what of it is not
    today's.
    """
    plain = {place: _with(place[0], _earlier(parts, OF_PROTOCOL)) for place, parts in terms.items()}
    twins = _twins(plain, lambda place: plain[place])
    mark = {place: f" #{place[1][:DIGITS]}" if place[1] else f" ({UNRECORDED})" for place in plain}
    return {place: name + (mark[place] if place in twins else "") for place, name in plain.items()}


def _earlier(parts: Iterable[str], of: Sequence[str]) -> str:
    found = [part for part in parts if part in of]
    return f"earlier {', '.join(found)}" if found else ""


def _with(name: str, remark: str) -> str:
    return f"{name} ({remark})" if remark else name


def _plain(column: TaskCell, earlier: str, mixed: bool) -> tuple[str, ...]:
    """Return a header's lines before twins are told apart."""
    remark = earlier or (UNRECORDED if mixed and not column.known else "")
    return (
        column.task,
        f"@{column.source}",
        *([f"+{column.template}"] if column.template else []),
        *(f"({remark})".replace(" ", "\n", 1).split("\n") if remark else []),
        column.metric_name,
    )


def _twins(things: Iterable[H], name: Callable[[H], Hashable]) -> set[H]:
    """Return those that share their name with another."""
    groups: dict[Hashable, list[H]] = {}
    for thing in things:
        groups.setdefault(name(thing), []).append(thing)
    return {thing for group in groups.values() if len(group) > 1 for thing in group}


def _told_apart(
    columns: Iterable[TaskCell], plain: Callable[[TaskCell], tuple[str, ...]]
) -> dict[TaskCell, tuple[str, ...]]:
    """Return the lines of each column, with the first digits of the hashes that twins differ in."""
    columns = list(columns)
    twins = _twins(columns, plain)
    found = {}
    for column in columns:
        *lines, metric = plain(column)
        alike = [other for other in twins if plain(other) == plain(column)]
        marks = [
            f"#{str(getattr(column, field)).lstrip('~')[:DIGITS]}"
            for field in HASHES
            if column in twins and len({getattr(other, field) for other in alike}) > 1
        ]
        found[column] = (*lines, *dict.fromkeys(marks), metric)
    return found


def _notes(columns: Iterable[TaskCell]) -> list[str]:
    """Return a note on each task that stands in several columns: in words, what these differ in."""
    groups: dict[str, list[TaskCell]] = {}
    for column in columns:
        groups.setdefault(column.name, []).append(column)
    return [
        f"{name} stands in {len(group)} columns, which answer different questions: {_difference(group)}"
        for name, group in groups.items()
        if len(group) > 1
    ]


def _difference(group: Sequence[TaskCell]) -> str:
    """Return in words what the columns of one task differ in. What is not recorded cannot be
    compared.
    """
    kinds = [[column for column in group if column.known is known] for known in (True, False)]
    words = [
        text
        for field, text in APART.items()
        if any(_varies(columns, field) for columns in (kinds if field in HASHES else [group]))
    ]
    return "; ".join(
        [*words, *(["of some it is not recorded what they were made from"] if all(kinds) else [])]
    )


def _varies(columns: Sequence[TaskCell], field: str) -> bool:
    return len({getattr(column, field) for column in columns}) > 1


def _row_names(earlier: Mapping[TableRow, str]) -> dict[TableRow, str]:
    """Return the name of each row, whoever its student is; twins have the first digits of what they
    differ in.
    """
    plain = {}
    for row, remark in earlier.items():
        taught = " ".join(filter(None, (row.entrant.teacher, row.entrant.corpus)))
        plain[row.as_method] = _with(row.method + (f" < {taught}" if taught else ""), remark)
    twins = _twins(plain, lambda row: plain[row])
    marks = {row: "+".join(value[:DIGITS] for value in row.variant if value) for row in twins}
    return {
        row: name + (f" #{marks[row]}" if marks.get(row) else "") for row, name in plain.items()
    }
