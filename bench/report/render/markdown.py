"""Markdown tables: best in bold, second in italics."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fewbench.errors import visible
from fewbench.report.tables.grid import Grid, GridCell

MARKS = {0: "{}", 1: "**{}**", 2: "*{}*"}

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Entities, since some readers take a tag behind a backslash for a tag."""

_MARKUP = re.compile(r"[\\`*|~\[$]|(?<![^\W_])_|_(?![^\W_])|(?<=\w):(?=//)|(?<=\bwww)\.")
"""Code, emphasis, cells, links and formulas; `_` within a word and a `:` alone are plain text."""

_START = re.compile(r"[#+=-]|(?<=\d)[.)](?=\s|$)")
"""Headings, lists and rules, where they (or a number before them) begin a line."""


def markdown(grid: Grid) -> str:
    """Return a Markdown table, its caption above it and its notes below."""
    rule = ["---"] * grid.labels + ["---:"] * (len(grid.header) - grid.labels)
    return "\n".join(
        [
            paragraph(grid.caption),
            "",
            _line(map(escape, grid.header)),
            _line(rule),
            *(_line(map(_cell, row)) for row in grid.rows),
            *(f"\n{paragraph(note)}" for note in grid.notes),
        ]
    )


def escape(text: str) -> str:
    """Return a text that Markdown shows unchanged, in one line."""
    plain = visible(text.replace("\n", " "))
    escaped = _MARKUP.sub(lambda match: "\\" + match[0], plain)
    return escaped.translate(_ENTITIES).replace("](", "&#93;(")


def paragraph(text: str) -> str:
    """Return a text that Markdown shows unchanged at the start of a line."""
    line = escape(text.lstrip())
    digits = len(line) - len(line.lstrip("0123456789"))
    return line[:digits] + "\\" + line[digits:] if _START.match(line, digits) else line


def _cell(cell: GridCell) -> str:
    return MARKS[cell.place].format(escape(cell.text)) if cell.text else ""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
