"""Read a file's lines and JSON objects strictly; errors name the file and the line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path
from typing import Any, TypeGuard

from fewbench.errors import DataError
from fewbench.io.files import LARGEST_DATA, parse_json, read_file
from fewbench.types import Json

NEWLINE = b"\n"

_SURROGATE = re.compile("[\ud800-\udfff]")
A_TEXT = r"a string without a lone surrogate such as \ud83d (half a character)"
"""Description of a valid text, for errors."""


def read_bytes(file: Path) -> bytes:
    """Read a data file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return read_file(file, LARGEST_DATA)
    except OSError as error:
        raise DataError(f"this file cannot be read: {error.strerror}", where=str(file)) from error


def decode(raw: bytes, where: str) -> str:
    """Decode a file's bytes as UTF-8, without a byte order mark.

    Raises:
        DataError: the bytes are not UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        decoded = error.object  # the bytes after a byte order mark
        line = decoded[: error.start].count(NEWLINE) + 1
        problem = f"not UTF-8 text (byte 0x{decoded[error.start]:02x})"
        raise DataError(problem, where=f"{where}, line {line}", fix="iconv -t utf-8") from error


def lines(raw: bytes, where: str) -> Iterator[tuple[str, str]]:
    """Yield each line's place and text; only newlines end a line, not U+2028 and the like."""
    texts = decode(raw, where).split("\n")
    if texts[-1] == "":
        texts.pop()
    for number, text in enumerate(texts, 1):
        yield f"{where}, line {number}", text.removesuffix("\r")


def objects(raw: bytes, where: str) -> Iterator[tuple[str, Json]]:
    """Yield each line's place and JSON object.

    Raises:
        DataError: a line is not a JSON object, repeats a key, or holds a number that JSON does not
            have.
    """
    for place, text in lines(raw, where):
        yield place, parse_object(text, place)


def parse_object(text: str, place: str) -> Json:
    """Parse a line that holds a JSON object.

    Raises:
        DataError: as in `objects`.
    """
    try:
        columns = parse_json(text, object_pairs_hook=_unique_keys)
    except ValueError as error:
        raise DataError(f"not a JSON line: {error}", where=place) from error
    if not isinstance(columns, dict):
        problem = f"a row must be a JSON object, not {type(columns).__name__}"
        raise DataError(problem, where=place, allowed='{"column": value, …}')
    return columns


def is_text(value: object) -> TypeGuard[str]:
    """Return True for a string that UTF-8 can encode; JSON can also spell lone surrogates."""
    return isinstance(value, str) and (value.isascii() or not _SURROGATE.search(value))


def compact(parts: Iterable[str | Sequence[object]]) -> str:
    """Write texts, and sequences of mostly texts, as a JSON array without a blank, in ASCII.

    A `json.JSONEncoder` gives the same, but it makes itself anew for each line.
    """
    return f"[{','.join(map(_compact, parts))}]"


def _compact(part: str | Sequence[object]) -> str:
    if isinstance(part, str):
        return _quoted(part)
    items = (_quoted(i) if isinstance(i, str) else _PLAIN.encode(i) for i in part)
    return f"[{','.join(items)}]"


_PLAIN = json.JSONEncoder(separators=(",", ":"))


def _unique_keys(pairs: list[tuple[str, Any]]) -> Json:
    columns = dict(pairs)
    if len(columns) != len(pairs):
        raise ValueError("a column appears twice")
    return columns
