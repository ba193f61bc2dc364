"""From a row's columns to an example: each value checked against the task, nothing converted silently."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fewbench.errors import DataError
from fewbench.types import Example, Label, Task


def to_example(task: Task, columns: Mapping[str, Any], where: str, name: str) -> Example:
    """Return a row as an example.

    Raises:
        DataError: a column that is missing, a text that is empty or no text, a label outside the declared ones.
    """
    source = task.source
    texts = tuple(_text(task, columns, column, where) for column in source.texts)
    options = _options(task, columns, where) if source.options else ()
    value = _column(task, columns, source.label, where)
    label = _value(task, value, where) if task.is_regression else _index(task, value, where)
    return Example(name, texts, label, options)


def _column(task: Task, columns: Mapping[str, Any], column: str, where: str) -> Any:
    if column not in columns:
        raise DataError(
            f"{task.full_name}: there is no column '{column}'", where=where, allowed=columns.keys(), given=column
        )
    return columns[column]


def _text(task: Task, columns: Mapping[str, Any], column: str, where: str) -> str:
    value = _column(task, columns, column, where)
    if not isinstance(value, str):
        raise DataError(f"{task.full_name}: '{column}' is {value!r}", where=where, allowed="a text")
    if not value.strip() and not task.source.may_be_empty:
        raise DataError(f"{task.full_name}: '{column}' is empty", where=where, fix="remove the row or give it a text")
    return value


def _options(task: Task, columns: Mapping[str, Any], where: str) -> tuple[str, ...]:
    assert task.source.options is not None
    options = _column(task, columns, task.source.options, where)
    wanted = len(task.labels)
    fits = isinstance(options, list) and all(isinstance(option, str) and option.strip() for option in options)
    if not fits or len(options) != wanted or len(set(options)) != wanted:
        allowed = f"a list of {wanted} different texts"
        raise DataError(f"{task.full_name}: '{task.source.options}' is {options!r}", where=where, allowed=allowed)
    return tuple(options)


def _index(task: Task, value: Any, where: str) -> Label:
    """Return the class index of a label; text files hold digits, the others must hold integers."""
    values, count = task.source.values, len(task.labels)
    if values is not None:
        if value in values:
            return values.index(value)
        raise DataError(f"{task.full_name}: the label is {value!r}", where=where, allowed=values, given=str(value))
    text_file = isinstance(value, str) and where.rpartition(",")[0].endswith((".tsv", ".csv"))
    if text_file and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        hidden = " (the hub hides this split's labels)" if value == -1 else ""
        named = ", ".join(f"{index} {label}" for index, label in enumerate(task.labels))
        raise DataError(f"{task.full_name}: the label is {value!r}{hidden}", where=where, allowed=named)
    return value


def _value(task: Task, value: Any, where: str) -> Label:
    assert task.bounds is not None
    lower, upper = task.bounds
    if isinstance(value, str) and where.rpartition(",")[0].endswith((".tsv", ".csv")):
        try:
            value = float(value)
        except ValueError:
            value = repr(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DataError(f"{task.full_name}: the value is {value}", where=where, allowed=f"{lower} to {upper}")
    if not lower <= value <= upper:
        raise DataError(f"{task.full_name}: the value is {value}", where=where, allowed=f"{lower} to {upper}")
    return float(value)
