"""The JSON Schema of a record, made from the declarations of its classes.

`docs/record.schema.json` is what `bench export schema` prints; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fewbench.refs import Arithmetic, CorpusRef, Inputs, ModelRef
from fewbench.store.parts import Environment, RecordPart, RunTiming, Selection, SplitFacts, Trial
from fewbench.store.record import SCHEMA, Record
from fewbench.types import Json, Run

DIALECT = "https://json-schema.org/draft/2020-12/schema"

CLASSES = (
    Record,
    Run,
    ModelRef,
    CorpusRef,
    Inputs,
    Arithmetic,
    Selection,
    Trial,
    SplitFacts,
    Environment,
    RunTiming,
)
"""The classes that a record consists of, itself first."""

NOT_WRITTEN = {"path", "extra"}
"""Fields that no record holds: folders of this machine, and names of later versions."""

ADDED: Mapping[tuple[str, ...], int] = {
    ("run", "template"): 2,
    ("run", "corpus"): 3,
    ("run", "drop_leaks"): 4,
    ("run", "inputs"): 5,
    ("run", "inputs", "trials"): 6,
    ("run", "arithmetic"): 7,
}
"""The first schema of fields that older records lack, as in `fewbench.store.record.MIGRATIONS`."""

_SCALARS: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
}


def record_schema() -> Json:
    """Return the JSON Schema of a record's file, of this schema or an earlier one."""
    definitions = {kind.__name__: _of_class(kind) for kind in CLASSES[1:]}
    for name in ("fingerprint", "test_fingerprint"):
        definitions["Run"]["properties"][name] = {"type": "string", "pattern": "^[0-9a-f]+$"}
    definitions["Run"]["properties"]["key"] = _digits(32)
    for name in definitions["Inputs"]["properties"]:
        definitions["Inputs"]["properties"][name] = _digits(0, 64)
    definitions["RunTiming"]["properties"]["finished"] = {"type": "string", "format": "date-time"}
    for *_, part, name in ADDED:
        definitions[part.capitalize()]["required"].remove(name)
    record = _of_class(Record)
    record["properties"] |= {
        "checksum": _digits(64),
        "predictions": {"anyOf": [_digits(64), {"type": "null"}]},
        "schema": {"type": "integer", "minimum": 1, "maximum": SCHEMA},
    }
    record["required"] = sorted([*record["required"], "checksum"])
    return {
        "$schema": DIALECT,
        "title": f"Record of a run, schemas 1 to {SCHEMA}",
        **record,
        "allOf": [_since(first, place) for place, first in ADDED.items()],
        "$defs": definitions,
    }


def _since(first: int, place: Sequence[str]) -> Json:
    """Return the condition that records have a field from a schema on."""
    *parts, name = place
    needed: Json = {"required": [name]}
    for part in reversed(parts):
        needed = {"properties": {part: needed}}
    return {"if": {"properties": {"schema": {"minimum": first}}}, "then": needed}


def _digits(least: int, most: int | None = None) -> Json:
    """Return the schema of hexadecimal digits."""
    return {"type": "string", "pattern": f"^[0-9a-f]{{{least},{most or least}}}$"}


def _of_class(kind: type[Any]) -> Json:
    """Return the schema of a class: a part may lack what its runs do not have, others lack nothing.

    Names that later versions add may stand in a part.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind) if field.name not in NOT_WRITTEN]
    is_part = issubclass(kind, RecordPart)
    properties = {name: _of(hints[name]) for name in names}
    needed = [name for name in names if not is_part or NoneType not in get_args(hints[name])]
    summary = (kind.__doc__ or "").strip().split("\n", 1)[0]
    return {
        "type": "object",
        "description": summary,
        "properties": properties,
        "required": sorted(needed),
        "additionalProperties": is_part,
    }


def _of(hint: Any) -> Json:
    """Return the schema of a type."""
    origin, options = get_origin(hint), get_args(hint)
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if origin is Literal:
        return {"enum": list(options)}
    if origin in (Union, UnionType):
        return {"anyOf": _each(options)}
    if origin is tuple:
        return {"type": "array", "items": _of(options[0])}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(options[1])}
    assert hint is Any, f"a field of the type {hint} has no schema yet"
    return {}


def _each(options: Iterable[Any]) -> list[Json]:
    return [_of(option) for option in options]
