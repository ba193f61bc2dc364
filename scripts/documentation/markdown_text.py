"""Pieces of Markdown: tables, and plain text in which no character is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fewbench.registry.papers import Paper

_MARKUP = re.compile(r"[\\*_\[\]<>|#~`]")
_CODE = re.compile(r"(`[^`\n]+`)")


class Page(NamedTuple):
    """A page of the site that no file of docs/ holds: its address there, and its Markdown."""

    path: str
    text: str


def plain(text: str) -> str:
    """Escape a text's markup, except for code between backticks."""
    parts = _CODE.split(text)
    return "".join(part if _CODE.fullmatch(part) else _MARKUP.sub(_entity, part) for part in parts)


def _entity(letter: re.Match[str]) -> str:
    return f"&#{ord(letter[0])};"


def code(value: object) -> str:
    """Return a value as code, also within a table."""
    text = str(value)
    if "|" in text or "`" in text:
        entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "`": "&#96;"}
        return f"<code>{''.join(entities.get(letter, letter) for letter in text)}</code>"
    return f"`{text}`"


def codes(values: Iterable[object]) -> str:
    """Return values as code, with commas between."""
    return ", ".join(map(code, values))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; its cells are Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def facts(pairs: Mapping[str, str]) -> str:
    """Return a list of names and values (Markdown), without those that are empty."""
    rows = [f"{name}\n:   {value}\n" for name, value in pairs.items() if value]
    return "\n".join(['<div class="facts" markdown>\n', *rows, "</div>"])


def page(*blocks: str) -> str:
    """Join blocks with an empty line between, without those that are empty."""
    return "\n\n".join(filter(None, blocks)) + "\n"


def value(setting: object) -> str:
    """Return a setting's value as it is written on the command line."""
    if setting is None:
        return "–"
    if isinstance(setting, bool):
        return code(str(setting).lower())
    if isinstance(setting, float):
        return code(f"{setting:g}")
    return code(setting)


def cited(citation: str, papers: Iterable[Paper]) -> str:
    """Return a citation with links to its papers, where they are free to read."""
    links = [f"[{plain(paper.full_title)}]({paper.address})" for paper in papers if paper.address]
    return "<br>".join([plain(citation), *links])
