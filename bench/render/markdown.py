"""Markdown tables: best in bold, second in italics."""

from __future__ import annotations

from fewbench.tables.grid import Grid

MARKS = {0: "{}", 1: "**{}**", 2: "*{}*"}


def markdown(grid: Grid) -> str:
    """Return a Markdown table, its caption above it and its notes below."""
    lines = [
        _line([head.replace("\n", " ") for head in grid.header]),
        _line(["---"] * grid.labels + ["---:"] * (len(grid.header) - grid.labels)),
        *(_line([MARKS[cell.place].format(cell.text) if cell.text else "" for cell in row]) for row in grid.rows),
    ]
    return "\n".join([grid.caption, "", *lines, *(f"\n{text}" for text in grid.notes)])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("\\", r"\\").replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"
