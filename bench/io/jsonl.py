"""Bytes, lines and JSON objects of a file, read strictly: what is wrong is refused with its file
and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from fewbench.errors import DataError
from fewbench.io.files import LARGEST_DATA, parse_json, read_file

NEWLINE = b"\n"

HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: JSON can escape it, and it is no text."""
A_TEXT = r"a text of whole characters (a lone surrogate such as \ud83d is half of one)"


def read_bytes(file: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return read_file(file, LARGEST_DATA)
    except OSError as error:
        raise DataError(f"this file cannot be read: {error.strerror}", where=str(file)) from error


def decode(raw: bytes, where: str) -> str:
    """Return the text of a file's bytes, less a byte order mark.

    Raises:
        DataError: not UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        seen = error.object  # less the byte order mark, if there is one
        line = seen[: error.start].count(NEWLINE) + 1
        problem = f"not UTF-8 text (byte 0x{seen[error.start]:02x})"
        raise DataError(problem, where=f"{where}, line {line}", fix="iconv -t utf-8") from error


def lines(raw: bytes, where: str) -> Iterator[tuple[str, str]]:
    """Yield each line's place and text. Only newlines end a line: U+2028 and its like stay text."""
    texts = decode(raw, where).split("\n")
    if texts[-1] == "":
        texts.pop()
    for number, text in enumerate(texts, 1):
        yield f"{where}, line {number}", text.removesuffix("\r")


def objects(raw: bytes, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each line's place and JSON object.

    Raises:
        DataError: a line that is no JSON object, or holds a key twice or a number that JSON does
            not have.
    """
    for place, text in lines(raw, where):
        yield place, parse_object(text, place)


def parse_object(text: str, place: str) -> dict[str, Any]:
    """Return the JSON object that a line holds.

    Raises:
        DataError: as `objects`.
    """
    try:
        columns = parse_json(text, object_pairs_hook=_once)
    except ValueError as error:
        raise DataError(f"not a JSON line: {error}", where=place) from error
    if not isinstance(columns, dict):
        problem = f"a row is no object but a {type(columns).__name__}"
        raise DataError(problem, where=place, allowed='{"column": value, …}')
    return columns


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value is a text that can be written again: JSON can spell half a character (a lone
    surrogate).
    """
    return isinstance(value, str) and not HALF.search(value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a column stands twice")
    return dict(pairs)
