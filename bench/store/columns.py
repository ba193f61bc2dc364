"""Records as columns of JSON, in which a value that many share stands once.

Objects are made of them by their constructors, and of no other classes than a record's own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, get_args, get_type_hints

from fewbench.store.parts import RecordPart
from fewbench.store.record import Record
from fewbench.types import Json, Settings

_TAG = ""
"""The key under which an object names its class."""


def columns(kind: type, objects: Sequence[object], without: Collection[str] = ()) -> Json:
    """Return the fields of objects of one class, each as a column.

    Raises:
        ValueError: a value that JSON cannot hold, or a mapping that could be taken for an object.
        TypeError: the same.
    """
    names = [field.name for field in fields(kind) if field.name not in without]
    return {name: column(list(map(attrgetter(name), objects))) for name in names}


def column(values: Sequence[object]) -> Json:
    """Return values as a column of JSON.

    Where many objects share values, each is held once, and `at` has the number of each object's;
    where all share one, `times` is their count.
    """
    texts = [json.dumps(to_plain(value), sort_keys=True) for value in values]
    distinct = dict(zip(texts, values, strict=True))
    if 2 * len(distinct) > len(values):
        return _held(values)
    held = _held([*distinct.values()])
    if len(distinct) == 1:
        return {**held, "times": len(values)}
    numbers = {text: number for number, text in enumerate(distinct)}
    return {**held, "at": [numbers[text] for text in texts]}


def _held(values: Sequence[object]) -> Json:
    """Return values one by one: objects of one class as columns of their own.

    `flat` is true if the values are of JSON's own types.
    """
    kinds = {type(value) for value in values}
    if len(kinds) == 1 and is_dataclass(kind := kinds.pop()) and not issubclass(kind, RecordPart):
        return {"class": kind.__name__, "columns": columns(kind, values)}
    plain = [to_plain(value) for value in values]
    return {"flat": f'"{_TAG}":' not in json.dumps(plain), "values": plain}


def flat(values: Sequence[object]) -> Json:
    """Return a column of values that are of JSON's own types."""
    return {"flat": True, "values": values}


def objects(kind: type, columns: Json) -> list[Any]:
    """Return the objects that columns hold; damaged ones raise any of several errors."""
    values = [_values(columns[field.name]) for field in fields(kind)]
    return [kind(*row) for row in zip(*values, strict=True)]


def _values(column: Json) -> list[Any]:
    if "class" in column:
        values = objects(classes()[column["class"]], column["columns"])
    elif column["flat"]:
        values = column["values"]
    else:
        values = [_from_plain(value) for value in column["values"]]
    if "times" in column:
        return values * int(column["times"])
    return [values[number] for number in column["at"]] if "at" in column else values


def to_plain(value: Any) -> Any:
    """Return a value as JSON; tuples and dataclasses are objects that name their class.

    Raises:
        ValueError: a mapping that could be taken for one of these.
    """
    if isinstance(value, RecordPart):
        return {**_untagged(value.to_json()), _TAG: type(value).__name__}
    if isinstance(value, tuple):
        return {_TAG: "tuple", "of": [to_plain(item) for item in value]}
    if is_dataclass(value):
        items = [to_plain(getattr(value, field.name)) for field in fields(value)]
        return {_TAG: type(value).__name__, "of": items}
    if isinstance(value, Mapping):
        return {name: to_plain(item) for name, item in _untagged(value).items()}
    return [to_plain(item) for item in value] if isinstance(value, list) else value


def _untagged(value: Settings) -> Settings:
    if _TAG in value:
        raise ValueError("an empty name")
    return value


def _from_plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.pop(_TAG, None)
    if name is None:
        return {key: _from_plain(item) for key, item in value.items()}
    if name == "tuple":
        return tuple(_from_plain(item) for item in value["of"])
    kind = classes()[name]
    if issubclass(kind, RecordPart):
        return kind.from_json(value)
    return kind(*map(_from_plain, value["of"]))


@lru_cache
def classes() -> dict[str, type]:
    """Return the dataclasses of a record by name; columns make objects of no others."""
    found: dict[str, type] = {}
    pending: list[Any] = [Record]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and is_dataclass(kind) and kind.__name__ not in found:
            found[kind.__name__] = kind
            for hint in get_type_hints(kind).values():
                pending += [hint, *get_args(hint)]
    return found
