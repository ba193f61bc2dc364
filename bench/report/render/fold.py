"""Fold texts to a width without breaking a word; Chinese, which has no spaces, by characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PIECES = re.compile(r"[^/,:+]*[/,:+]+|[^/,:+]+$")
"""The pieces of a path, a list or a method, which may be folded behind `/`, `,`, `:` and `+`."""

_IDEOGRAPHS = r"[\u3400-\u9fff\uf900-\ufaff]"
_CHINESE = re.compile(rf"\s*(?:{_IDEOGRAPHS}[^\w\s]*|(?:(?!{_IDEOGRAPHS})\S)+)")
"""The pieces of a Chinese sentence: a character with the punctuation behind it, or other text."""

LONG_WORD = 20
"""The longest word that is never folded within."""


def fold(text: str, width: int) -> str:
    """Fold a text between words; lines after the first are indented as the first is."""
    if text_width(text) <= width:
        return text
    indent = " " * (len(text) - len(text.lstrip(" ")))
    lines = [""]
    for word in words(text):
        if lines[-1].strip() and text_width(lines[-1] + word) > width:
            lines.append(indent + word.lstrip())
        else:
            lines[-1] += word
    return "\n".join(lines)


def words(text: str) -> Iterator[str]:
    """Yield the pieces of a text that are not broken, each with the spaces before it."""
    for word in re.findall(r"\s*\S+", text):
        if text_width(word) <= LONG_WORD:
            yield word
        elif re.search(_IDEOGRAPHS, word):
            yield from _CHINESE.findall(word)
        else:
            yield from _PIECES.findall(word)


def text_width(text: str) -> int:
    """Count the columns that a text takes in a terminal: two for a Chinese character."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
