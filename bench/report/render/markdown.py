"""Markdown tables: best in bold, second in italics."""

from __future__ import annotations

import re

from fewbench.errors import visible
from fewbench.report.tables.grid import Grid

MARKS = {0: "{}", 1: "**{}**", 2: "*{}*"}

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Entities, since a backslash would leave the tag to whatever reads it less well."""

_MARKUP = re.compile(r"[\\`*|~\[$]|(?<![^\W_])_|_(?![^\W_])|(?<=\w):(?=//)|(?<=\bwww)\.")
"""What makes code, emphasis, cells, links or formulas; `_` within a word and a lone `:` make
nothing.
"""

_START = re.compile(r"[#+=-]|(?<=\d)[.)](?=\s|$)")
"""What makes a heading, a list or a rule where a line begins with it, or with a number before it.
"""


def markdown(grid: Grid) -> str:
    """Return a Markdown table, its caption above it and its notes below."""
    lines = [
        _line([escape(head) for head in grid.header]),
        _line(["---"] * grid.labels + ["---:"] * (len(grid.header) - grid.labels)),
        *(_line([_cell(cell.text, cell.place) for cell in row]) for row in grid.rows),
    ]
    return "\n".join(
        [paragraph(grid.caption), "", *lines, *(f"\n{paragraph(text)}" for text in grid.notes)]
    )


def escape(text: str) -> str:
    """Return a text that Markdown shows as it stands, in one line."""
    plain = visible(text.replace("\n", " "))
    return (
        _MARKUP.sub(lambda found: "\\" + found[0], plain)
        .translate(_ENTITIES)
        .replace("](", "&#93;(")
    )


def paragraph(text: str) -> str:
    """Return a text that is shown as it stands where it begins a line."""
    line = escape(text.lstrip())
    digits = len(line) - len(line.lstrip("0123456789"))
    return line[:digits] + "\\" + line[digits:] if _START.match(line, digits) else line


def _cell(text: str, place: int) -> str:
    return MARKS[place].format(escape(text)) if text else ""


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
