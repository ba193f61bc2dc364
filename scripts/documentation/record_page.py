"""The page of records: what every field of a stored run is, as its classes say."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from markdown_text import Page, code, codes, page, plain, table

from fewbench.store.record_schema import ADDED, CLASSES, record_schema

INTRODUCTION = """# Records and their schema

A record is the stored outcome of a run: one JSON file under `results/runs/`, its predictions beside it. It is written
whole or not at all, is never edited, and holds a checksum that `bench fsck` compares. Its name is the key of the run: a
hash of what the run was made from. Records of every earlier schema are still read.

[The JSON Schema](record.schema.json) is made from the classes below (`bench export schema`), and a test compares them.
"""


def record_page() -> Page:
    """Return the page."""
    schema = record_schema()
    parts = {"Record": schema, **schema["$defs"]}
    sections = [_section(kind, parts[kind.__name__]) for kind in CLASSES]
    return Page("records.md", page(INTRODUCTION, *sections))


def _section(kind: type[Any], part: Mapping[str, Any]) -> str:
    summary, _, rest = inspect.getdoc(kind).partition("\n\n")
    rows = [
        (code(name), _type(schema), _present(kind, part, name))
        for name, schema in sorted(part["properties"].items())
    ]
    heads = ("field", "type", "present")
    return page(f"## {kind.__name__}", plain(summary), plain(rest), table(heads, rows))


def _present(kind: type[Any], part: Mapping[str, Any], name: str) -> str:
    """Say in which records a field stands."""
    since = {(place[-2].capitalize(), place[-1]): first for place, first in ADDED.items()}
    if first := since.get((kind.__name__, name)):
        return f"since schema {first}"
    return "always" if name in part["required"] else "where there is one"


def _type(schema: Mapping[str, Any]) -> str:
    """Return a field's JSON type in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return codes(schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])}"
    if "pattern" in schema:
        return "hexadecimal digits"
    return str(kind)
