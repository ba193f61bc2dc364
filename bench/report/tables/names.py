"""Names of rows, columns and protocols in one table.

Two columns of one task, or two rows of one entrant, answer different questions: their headers have
distinct marks, and a note below the table says in words what differs. What is not of today is
marked as well.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from fewbench.report.preset_names import with_preset
from fewbench.report.tables.blocks import TableRow
from fewbench.report.today import OF_METHOD, OF_PROTOCOL, OF_TASK, UNRECORDED
from fewbench.store.cell import TaskCell

H = TypeVar("H", bound=Hashable)

DIGITS = 6
"""Digits of a hash in a name."""

APART = {
    "version": "another version",
    "definition": "another definition",
    "train_set": "trained on other rows",
    "test_set": "tested on other rows",
    "metric": "another metric",
    "positive": "F1 of another class",
}
"""How two columns of one task may differ, in words, by field of `TaskCell`."""

HASHES = ("definition", "train_set", "test_set", "version")


class Column(NamedTuple):
    """A column's header: lines for the task, its source and prompt, its marks, and its metric."""

    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """All but the metric on one line: `sst-2@lm-bff (earlier definition)`."""
        task, source, *others = self.lines[:-1]
        return " ".join([task + source, *others])


class Names:
    """The names in one table.

    Args:
        columns: the columns shown, each with its inputs that are not today's.
        rows: likewise, the rows shown.
    """

    def __init__(
        self, columns: Mapping[TaskCell, Iterable[str]], rows: Mapping[TableRow, Iterable[str]]
    ) -> None:
        mixed = len({column.known for column in columns}) > 1
        earlier = {column: _earlier(parts, OF_TASK) for column, parts in columns.items()}
        self.columns = _distinct_lines(
            {column: _plain(column, earlier[column], mixed) for column in columns}
        )
        self.notes = _notes(columns)
        self._rows = _row_names({row: _earlier(parts, OF_METHOD) for row, parts in rows.items()})
        self.earlier = frozenset(column for column, remark in earlier.items() if remark)

    def column(self, column: TaskCell) -> Column:
        """Return a column's header."""
        return Column(self.columns[column])

    def row(self, row: TableRow) -> str:
        """Return the name of a row: its method, with its teacher or corpus (see `telling`)."""
        return self._rows[row.as_method]


def telling(rows: Iterable[TableRow]) -> dict[TableRow, TableRow]:
    """Blank the teacher or corpus of a row where its method and student have only that one."""
    rows = list(rows)
    teachers, corpora = _names_of(rows, "teacher"), _names_of(rows, "corpus")
    short = {}
    for row in rows:
        entrant = row.entrant
        if entrant.teacher and len(teachers[row.method, row.student]) == 1:
            entrant = entrant._replace(teacher="")
        if entrant.corpus and len(corpora[row.method, row.student]) == 1:
            entrant = entrant._replace(corpus="")
        short[row] = row if entrant is row.entrant else row._replace(entrant=entrant)
    return short


def _names_of(rows: Iterable[TableRow], field: str) -> dict[tuple[str, str], set[str]]:
    """Return the teachers or the corpora of each method and student."""
    names: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        names.setdefault((row.method, row.student), set()).add(getattr(row.entrant, field))
    return names


def protocol_names(terms: Mapping[tuple[str, str], Iterable[str]]) -> dict[tuple[str, str], str]:
    """Name protocols, each given by name and hash of constants with its inputs not of today."""
    names = {place: _with(place[0], _earlier(parts, OF_PROTOCOL)) for place, parts in terms.items()}
    for twins in _groups(names):
        known = [place for place in twins if place[1]]
        for place in twins:
            constants = place[1]
            if constants and len(known) > 1:
                names[place] += f" #{constants[:DIGITS]}"
            elif not constants and len(twins) > 1:
                names[place] += f" ({UNRECORDED})"
    return names


def _earlier(parts: Iterable[str], of: Sequence[str]) -> str:
    changed = [part for part in parts if part in of]
    return f"earlier {', '.join(changed)}" if changed else ""


def _with(name: str, remark: str) -> str:
    return f"{name} ({remark})" if remark else name


def _plain(column: TaskCell, earlier: str, mixed: bool) -> tuple[str, ...]:
    """Return a header's lines before the marks of twins."""
    lines = [column.task, f"@{column.source}"]
    if column.template:
        lines.append(f"+{column.template}")
    remark = earlier or (UNRECORDED if mixed and not column.known else "")
    if remark:
        lines += f"({remark})".split(" ", 1)
    return (*lines, column.metric_name)


def _groups(names: Mapping[H, Hashable]) -> list[list[H]]:
    """Group things that have the same name."""
    groups: dict[Hashable, list[H]] = {}
    for thing, name in names.items():
        groups.setdefault(name, []).append(thing)
    return list(groups.values())


def _twins(names: Mapping[H, Hashable]) -> set[H]:
    """Return the things that share their name with another."""
    return {thing for group in _groups(names) if len(group) > 1 for thing in group}


def _distinct_lines(
    plain: Mapping[TaskCell, tuple[str, ...]],
) -> dict[TaskCell, tuple[str, ...]]:
    """Add to the lines of each column the first digits of the hashes that differ between twins."""
    distinct = dict(plain)
    for twins in _groups(plain):
        fields = [field for field in HASHES if _varies(twins, field)]
        for column in twins:
            *lines, metric = plain[column]
            hashes = [str(getattr(column, field)).lstrip("~") for field in fields]
            marks = dict.fromkeys(f"#{text[:DIGITS]}" for text in hashes)
            distinct[column] = (*lines, *marks, metric)
    return distinct


def _notes(columns: Iterable[TaskCell]) -> list[str]:
    """Return notes on the tasks with several columns, which say how these differ."""
    names = {column: column.name for column in columns}
    alike: dict[tuple[int, str], list[str]] = {}
    for group in _groups(names):
        if len(group) > 1:
            alike.setdefault((len(group), _difference(group)), []).append(group[0].name)
    return [
        f"{_have(tasks, count)}, which answer different questions: {difference}"
        for (count, difference), tasks in alike.items()
    ]


def _have(tasks: Sequence[str], count: int) -> str:
    """Say how many columns some tasks have."""
    if len(tasks) == 1:
        return f"{tasks[0]} has {count} columns"
    return f"{', '.join(tasks)} have {count} columns each"


def _difference(group: Sequence[TaskCell]) -> str:
    """Say how the columns of one task differ."""
    words = [text for field, text in APART.items() if _differ(group, field)]
    if _varies(group, "known"):
        words.append("of some it is not recorded what they were made from")
    return "; ".join(words)


def _differ(columns: Sequence[TaskCell], field: str) -> bool:
    """True if columns differ in a field; a hash that is not recorded cannot be compared."""
    if field == "positive":  # of one metric: another metric has no class, or another one
        return _varies(columns, field) and not _varies(columns, "metric")
    if field not in HASHES:
        return _varies(columns, field)
    known = [column for column in columns if column.known]
    unrecorded = [column for column in columns if not column.known]
    return _varies(known, field) or _varies(unrecorded, field)


def _varies(columns: Sequence[TaskCell], field: str) -> bool:
    return len({getattr(column, field) for column in columns}) > 1


def _row_names(earlier: Mapping[TableRow, str]) -> dict[TableRow, str]:
    """Name each row, whatever its student; twins are marked with the hashes of their variant."""
    names = {}
    for row, remark in earlier.items():
        sources = " ".join(filter(None, (row.entrant.teacher, row.entrant.corpus)))
        named = with_preset(row.method)
        method = f"{named} < {sources}" if sources else named
        role = f"{method} ({row.role})" if row.role else method
        names[row.as_method] = _with(role, remark)
    for row in _twins(names):
        hashes = "+".join(value[:DIGITS] for value in row.variant if value)
        if hashes:
            names[row] += f" #{hashes}"
    return names
