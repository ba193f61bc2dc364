"""From a row's columns to an example: each value checked against the task, nothing converted
silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fewbench.errors import DataError
from fewbench.io.jsonl import A_TEXT, is_text
from fewbench.types import Example, Label, Task

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)


IDS = ("id", "idx", "index", "guid")
"""Columns that tell rows apart, where they are there."""


FIELD = re.compile(r"\{([^{}]+)\}")
"""A column within a text that is made of several: `texts = ["text", "{pronoun} means {noun}"]`."""


class DataRow(NamedTuple):
    """A row as its file gives it, and where it stands. In CSV and TSV every value is a text
    (`untyped`).
    """

    where: str
    columns: Mapping[str, Any]
    untyped: bool = False


def to_example(task: Task, row: DataRow, name: str, *, labelled: bool = True) -> Example:
    """Return a row as an example. A row that is not `labelled` needs no label, and one it has is
    not looked at.

    Raises:
        DataError: a column that is missing, a text that is empty or no text, a label outside the
            declared ones.
    """
    texts = tuple(_text(task, row, column) for column in task.source.texts)
    options = _options(task, row, task.source.options) if task.source.options else ()
    if options and len(texts) == 1:
        texts = (*texts, "")
    if not labelled:
        return Example(name, texts, None, options)
    value = _column(task, row, task.source.label)
    label = _value(task, row, value) if task.is_regression else _index(task, row, value, options)
    return Example(name, texts, label, options)


def check_ids(task: Task, rows: Sequence[DataRow]) -> None:
    """Refuse two rows of one id, where the rows have a column of ids. Examples have ids of our own;
    this is a guard.

    Raises:
        DataError: both rows, with their files and lines.
    """
    for column in IDS:
        seen: dict[str, str] = {}
        for row in rows:
            if column not in row.columns:
                break
            # An id may be a list; and that of a choice may name the passage, which has several
            # questions.
            question = [
                row.columns.get(text) for text in task.source.texts[1:] if task.source.options
            ]
            parts = (row.columns[column], *question)
            known = ", ".join(json.dumps(part, ensure_ascii=False, default=str) for part in parts)
            if known in seen:
                fix = "keep one, or drop the column"
                raise _refused(
                    task,
                    row,
                    f"two rows have the {column} {known}: this and {seen[known]}",
                    fix=fix,
                )
            seen[known] = row.where


def check_classes(task: Task, train: Sequence[Example], where: str) -> None:
    """Refuse a class that no training row is of; what options rows lack, their labels lack too.

    Raises:
        DataError: the first such class.
    """
    if task.is_regression or task.source.may_lack_options:
        return
    labels = {example.label for example in train}
    if absent := [name for index, name in enumerate(task.labels) if index not in labels]:
        problem = f"{task.full_name}: no training row is of the class '{absent[0]}'"
        allowed = "rows of every class: " + ", ".join(task.labels)
        raise DataError(
            problem,
            where=where,
            allowed=allowed,
            fix="add rows of it, or declare another label list",
        )


def is_dropped(task: Task, row: DataRow) -> bool:
    """Whether a row's label is one of those whose rows the source leaves out."""
    value = _column(task, row, task.source.label) if task.source.drop else None
    return any(_same(known, value, row.untyped) for known in task.source.drop)


def _refused(task: Task, row: DataRow, problem: str, **more: Any) -> DataError:
    return DataError(f"{task.full_name}: {problem}", where=row.where, **more)


def _column(task: Task, row: DataRow, column: str) -> Any:
    """Return a column's value; `a.b` is column `b` of the object in column `a`, unless a column has
    that name.
    """
    outer, _, inner = column.partition(".")
    if (
        inner
        and column not in row.columns
        and isinstance(nested := row.columns.get(outer), Mapping)
    ):
        return _column(task, row._replace(columns=nested), inner)
    if column not in row.columns:
        names = [str(name) for name in row.columns]
        raise _refused(task, row, f"there is no column '{column}'", allowed=names, given=column)
    return row.columns[column]


def _text(task: Task, row: DataRow, column: str) -> str:
    if "{" in column:
        return FIELD.sub(lambda field: _text(task, row, field[1]), column)
    value = _column(task, row, column)
    if task.source.join is not None and isinstance(value, list) and all(map(is_text, value)):
        value = task.source.join.join(value)
    if not is_text(value):
        raise _refused(task, row, f"'{column}' is {_short(value)}", allowed=A_TEXT)
    if not value.strip() and not task.source.may_be_empty:
        fix = "remove the row, give it a text, or declare the source with may_be_empty = true"
        raise _refused(task, row, f"'{column}' is empty", fix=fix)
    text: str = value
    return text


def _options(task: Task, row: DataRow, column: str) -> tuple[str, ...]:
    """Return one option a class; what a row lacks is empty."""
    options, wanted = _column(task, row, column), len(task.labels)
    fits = isinstance(options, list) and all(
        is_text(option) and option.strip() for option in options
    )
    least = 2 if task.source.may_lack_options else wanted
    repeats = fits and len(set(options)) != len(options) and not task.source.may_repeat_options
    if not fits or repeats or not least <= len(options) <= wanted:
        count = wanted if least == wanted else f"{least} to {wanted}"
        allowed = f"a list of {count} {'' if task.source.may_repeat_options else 'different '}texts"
        raise _refused(task, row, f"'{column}' is {_short(options)}", allowed=allowed)
    return (*options, *[""] * (wanted - len(options)))


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def _index(task: Task, row: DataRow, value: Any, options: tuple[str, ...]) -> Label:
    """Return the class index of a label; text files hold digits, the others must hold integers."""
    values, count = task.source.values, len(task.labels)
    if values is not None:
        known = tuple(filter(None, options)) if values == "options" else values
        found = [index for index, v in enumerate(known) if _same(v, value, row.untyped)]
        if not found:
            raise _refused(
                task,
                row,
                f"the label is {_short(value)}",
                allowed=map(str, known),
                given=str(value),
            )
        index = found[0]
    else:
        index = int(value) if row.untyped and re.fullmatch("[0-9]{1,9}", value) else value
    if type(index) is not int or not 0 <= index < count:
        hidden = " (so the hub hides the labels of this split)" if value == -1 else ""
        named = ", ".join(f"{index} {label}" for index, label in enumerate(task.labels))
        raise _refused(task, row, f"the label is {_short(value)}{hidden}", allowed=named)
    if options and not options[index]:
        raise _refused(
            task, row, f"the label is {_short(value)}, and there is no such option", allowed=options
        )
    return index


def _same(known: str | int, value: object, untyped: bool) -> bool:
    """Whether a row holds a declared label value: text files hold everything as text, and elsewhere
    True is no 1.
    """
    known = str(known) if untyped else known
    return type(known) is type(value) and known == value


def _value(task: Task, row: DataRow, value: Any) -> Label:
    assert task.bounds is not None
    lower, upper = task.bounds
    number = float(value) if row.untyped and NUMBER.fullmatch(value) else value
    if type(number) not in (int, float) or not lower <= number <= upper:  # so NaN too is refused
        raise _refused(
            task,
            row,
            f"the value is {_short(value)}",
            allowed=f"a number from {lower:g} to {upper:g}",
        )
    return float(number)
