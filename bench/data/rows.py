"""Convert rows to examples, checking each value against the task; nothing is converted silently."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fewbench.errors import DataError
from fewbench.io.jsonl import A_TEXT, is_text
from fewbench.types import Example, Json, Label, Span, Task

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)

IDS = ("id", "idx", "index", "guid")
"""Columns that identify rows in many data sets."""

FIELD = re.compile(r"\{([^{}]+)\}")
"""A column in a composed text, as in `texts = ["text", "{pronoun} means {noun}"]`."""


class DataRow(NamedTuple):
    """A row as its file gives it, with its place; in CSV and TSV values are text (`untyped`)."""

    where: str
    columns: Json
    untyped: bool = False


def to_example(task: Task, row: DataRow, name: str, *, labelled: bool = True) -> Example:
    """Convert a row to an example; the label is ignored unless the row is `labelled`.

    Raises:
        DataError: a column is missing, a text is empty or not a string, or the label is not
            declared.
    """
    texts = tuple(_text(task, row, column) for column in task.source.texts)
    options = _options(task, row, task.source.options) if task.source.options else ()
    if options and len(texts) == 1:
        texts = (*texts, "")
    if not labelled:
        return Example(name, texts, None, options)
    value = _column(task, row, task.source.label)
    if task.format == "span":
        answers = _answers(task, row, value, texts[0])
        return Example(name, texts, 0 if answers else 1, answers=answers)
    label = _value(task, row, value) if task.is_regression else _index(task, row, value, options)
    return Example(name, texts, label, options)


def check_ids(task: Task, rows: Sequence[DataRow]) -> None:
    """Check that no two rows have the same id, if the rows have a column of ids.

    Nothing else reads these ids; a repeated one is a sign of a damaged file.

    Raises:
        DataError: two rows have the same id.
    """
    for column in IDS:
        places: dict[str, str] = {}
        for row in rows:
            if column not in row.columns:
                break
            id_text = _id_text(task, row, column)
            if id_text in places:
                problem = f"two rows have the {column} {id_text}: this and {places[id_text]}"
                raise _error(task, row, problem, fix="keep one, or drop the column")
            places[id_text] = row.where


def _id_text(task: Task, row: DataRow, column: str) -> str:
    """Write a row's id as text: it may be a list.

    The id of a choice may name a passage that has several questions, so the question belongs to it.
    """
    parts = [row.columns[column]]
    if task.source.options:
        parts += [row.columns.get(text) for text in task.source.texts[1:]]
    return ", ".join(map(_written, parts))


def _written(value: object) -> str:
    if type(value) is int:  # as nearly all are
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def check_classes(task: Task, train: Sequence[Example], where: str) -> None:
    """Check that every class has a training row.

    Raises:
        DataError: a class has none.
    """
    # Where rows may lack options, the last classes may rightly be missing.
    if task.is_regression or task.source.may_lack_options:
        return
    labels = {example.label for example in train}
    if absent := [name for index, name in enumerate(task.labels) if index not in labels]:
        raise DataError(
            f"{task.full_name}: no training row is of the class '{absent[0]}'",
            where=where,
            allowed="rows of every class: " + ", ".join(task.labels),
            fix="add rows of this class, or declare other labels",
        )


def is_dropped(task: Task, row: DataRow) -> bool:
    """Return True if the source leaves out rows with this row's label."""
    value = _column(task, row, task.source.label) if task.source.drop else None
    return any(_same(known, value, row.untyped) for known in task.source.drop)


def _error(task: Task, row: DataRow, problem: str, **more: Any) -> DataError:
    return DataError(f"{task.full_name}: {problem}", where=row.where, **more)


def _column(task: Task, row: DataRow, column: str) -> Any:
    """Return a column's value; `a.b` may be a column, or else field `b` of the object in `a`."""
    if column in row.columns:
        return row.columns[column]
    outer, _, inner = column.partition(".")
    nested = row.columns.get(outer)
    if inner and isinstance(nested, Mapping):
        return _column(task, row._replace(columns=dict(nested)), inner)
    names = [str(name) for name in row.columns]
    raise _error(task, row, f"there is no column '{column}'", allowed=names, given=column)


def _text(task: Task, row: DataRow, column: str) -> str:
    if "{" in column:
        return FIELD.sub(lambda field: _text(task, row, field[1]), column)
    value = _column(task, row, column)
    if task.source.join is not None and isinstance(value, list) and all(map(is_text, value)):
        value = task.source.join.join(value)
    if not is_text(value):
        raise _error(task, row, f"'{column}' is {_short(value)}", allowed=A_TEXT)
    if not value.strip() and not task.source.may_be_empty:
        fix = "remove the row, give it a text, or declare the source with may_be_empty = true"
        raise _error(task, row, f"'{column}' is empty", fix=fix)
    return value


def _options(task: Task, row: DataRow, column: str) -> tuple[str, ...]:
    """Return one option per class; missing options are empty."""
    options = _column(task, row, column)
    most = len(task.labels)
    least = 2 if task.source.may_lack_options else most
    if not _are_texts(options) or not least <= len(options) <= most or _repeat(task, options):
        count = str(most) if least == most else f"{least} to {most}"
        different = "" if task.source.may_repeat_options else "different "
        allowed = f"a list of {count} {different}texts"
        raise _error(task, row, f"'{column}' is {_short(options)}", allowed=allowed)
    return (*options, *[""] * (most - len(options)))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(is_text(text) and text.strip() for text in value)


def _repeat(task: Task, options: list[str]) -> bool:
    return len(set(options)) != len(options) and not task.source.may_repeat_options


def _answers(task: Task, row: DataRow, value: Any, passage: str) -> tuple[Span, ...]:
    """Return the spans of a row's answers, which its label column holds as SQuAD's does."""
    texts, starts = _answer_lists(task, row, value)
    if not texts and not task.may_lack_answers:
        fix = 'labels = ["answer", "no-answer"] if rows may lack one, or remove the row'
        raise _error(task, row, "there is no answer", fix=fix)
    spans = tuple((start, start + len(text)) for text, start in zip(texts, starts, strict=True))
    for text, span in zip(texts, spans, strict=True):
        if span[0] < 0 or passage[slice(*span)] != text:
            found = _short(passage[max(0, span[0]) : span[1]])
            problem = f"the answer {_short(text)} does not begin at character {span[0]}"
            allowed = f"a stretch of '{task.source.texts[0]}', which holds {found} there"
            raise _error(task, row, problem, allowed=allowed)
    return spans


def _answer_lists(task: Task, row: DataRow, value: Any) -> tuple[list[str], list[int]]:
    """Return a row's answers and where they begin, lists of one length."""
    fields = value if isinstance(value, Mapping) else {}
    texts, starts = fields.get("text"), fields.get("answer_start")
    if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
        if (not texts or _are_texts(texts)) and all(type(start) is int for start in starts):
            return texts, starts
    allowed = '{"text": [texts that are not empty], "answer_start": [as many numbers]}'
    raise _error(task, row, f"'{task.source.label}' is {_short(value)}", allowed=allowed)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _index(task: Task, row: DataRow, value: Any, options: tuple[str, ...]) -> Label:
    """Return the class index of a label."""
    if task.source.values is None:
        index = _class_number(task, row, value)
    else:
        known = task.source.values
        index = _position(task, row, value, filter(None, options) if known == "options" else known)
    if options and not options[index]:
        problem = f"the label is {_short(value)}, but there is no such option"
        raise _error(task, row, problem, allowed=options)
    return index


def _class_number(task: Task, row: DataRow, value: Any) -> int:
    """Read a label that is a class index: an integer, or digits in a text file."""
    index = int(value) if row.untyped and re.fullmatch("[0-9]{1,9}", value) else value
    if type(index) is int and 0 <= index < len(task.labels):
        return index
    hint = " (the hub hides the labels of this split)" if value == -1 else ""
    allowed = ", ".join(f"{number} {label}" for number, label in enumerate(task.labels))
    raise _error(task, row, f"the label is {_short(value)}{hint}", allowed=allowed)


def _position(task: Task, row: DataRow, value: Any, known: Iterable[str | int]) -> int:
    """Return the position of a label among the declared values."""
    known = tuple(known)
    for index, label in enumerate(known):
        if _same(label, value, row.untyped):
            return index
    problem = f"the label is {_short(value)}"
    raise _error(task, row, problem, allowed=map(str, known), given=str(value))


def _same(known: str | int, value: object, untyped: bool) -> bool:
    """Return True if a row's value is the declared one; True is not 1, and text files hold text."""
    known = str(known) if untyped else known
    return type(known) is type(value) and known == value


def _value(task: Task, row: DataRow, value: Any) -> Label:
    assert task.bounds is not None
    lower, upper = task.bounds
    number = float(value) if row.untyped and NUMBER.fullmatch(value) else value
    if type(number) not in (int, float) or not lower <= number <= upper:  # NaN fails this too
        allowed = f"a number from {lower:g} to {upper:g}"
        raise _error(task, row, f"the value is {_short(value)}", allowed=allowed)
    return float(number)
