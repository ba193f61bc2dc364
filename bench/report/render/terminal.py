"""Tables for a terminal: best in bold, second underlined, split where they exceed its width.

Laid out here, since rich measures each cell many times over and ten thousand records make large
tables.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from fewbench.errors import visible
from fewbench.report.render.fold import fold, text_width
from fewbench.report.tables.grid import Grid, GridCell

STYLES = {0: "{}", 1: "\x1b[1m{}\x1b[0m", 2: "\x1b[4m{}\x1b[0m"}
GAP = "  "
BLANK = GridCell("")


class ColumnLayout(NamedTuple):
    """The layout of a column: labels are aligned to the left, numbers to the right."""

    width: int
    is_label: bool


def terminal(grid: Grid, width: int, *, styled: bool = False) -> str:
    """Return a table's text of at most `width` columns, if a label and a cell fit into it.

    Args:
        grid: the table.
        width: of the terminal.
        styled: mark the best cells by bold and underlined text.
    """
    heads = [head_cells(text) for text in grid.header]
    rows = _foldable_rows(grid, grid.label_width or width // 2)
    columns = zip(*rows, strict=True)
    widths = [
        _column_width([*head, *column])
        for head, column in zip_longest(heads, columns, fillvalue=())
    ]
    lines = wrap(grid.caption, width)
    for part in parts(widths, grid.labels, width):
        numbers = [*range(grid.labels), *part]
        layout = [ColumnLayout(widths[number], number < grid.labels) for number in numbers]
        lines += ["", *head_lines([heads[number] for number in numbers], layout), rule(layout)]
        for row in rows:
            lines += row_lines([row[number] for number in numbers], layout, styled)
    lines.append("")
    for note in grid.notes:
        lines += wrap(note, width)
    return "\n".join(lines)


def head_cells(text: str) -> list[GridCell]:
    """Return the lines of a header as cells."""
    return [plain(GridCell(line)) for line in text.split("\n")]


def _foldable_rows(grid: Grid, width: int) -> list[list[GridCell]]:
    """Return rows of printable cells whose labels are folded to at most `width` columns."""
    rows = []
    for row in grid.rows:
        cells = [plain(cell) for cell in row]
        labels = [_folded(cell, width) for cell in cells[: grid.labels]]
        rows.append([*labels, *cells[grid.labels :]])
    return rows


def _column_width(cells: Iterable[GridCell]) -> int:
    lines: list[str] = []
    for cell in cells:
        lines += cell.text.split("\n")
    return max(map(text_width, lines))


def parts(widths: Sequence[int], labels: int, width: int) -> Iterator[range]:
    """Yield the columns of each table: as many as fit beside the labels, and at least one."""
    start = labels
    while start < len(widths):
        end = start + 1
        used = sum(widths[:labels]) + widths[start] + len(GAP) * labels
        while end < len(widths):
            used += len(GAP) + widths[end]
            if used > width:
                break
            end += 1
        yield range(start, end)
        start = end


def head_lines(heads: Sequence[list[GridCell]], layout: Sequence[ColumnLayout]) -> Iterator[str]:
    """Yield the lines of a header, whose cells end on the same line."""
    height = max(map(len, heads))
    padded = [[BLANK] * (height - len(head)) + head for head in heads]
    for cells in zip(*padded, strict=True):
        yield _line(cells, layout, styled=False)


def rule(layout: Sequence[ColumnLayout]) -> str:
    """Return the line between a header and its rows."""
    return "─" * (sum(column.width for column in layout) + len(GAP) * (len(layout) - 1))


def row_lines(
    row: Sequence[GridCell], layout: Sequence[ColumnLayout], styled: bool
) -> Iterator[str]:
    """Yield the lines of a row: more than one where a label is folded."""
    for cells in zip_longest(*map(_split, row), fillvalue=BLANK):
        yield _line(cells, layout, styled)


def _split(cell: GridCell) -> list[GridCell]:
    if "\n" not in cell.text:
        return [cell]
    return [GridCell(line, cell.place) for line in cell.text.split("\n")]


def _line(row: Sequence[GridCell], layout: Sequence[ColumnLayout], styled: bool) -> str:
    cells = []
    for cell, column in zip(row, layout, strict=True):
        padding = " " * (column.width - text_width(cell.text))
        text = STYLES[cell.place if styled else 0].format(cell.text)
        cells.append(text + padding if column.is_label else padding + text)
    return GAP.join(cells).rstrip()


def _folded(cell: GridCell, width: int) -> GridCell:
    return GridCell(fold(cell.text, width), cell.place)


def plain(cell: GridCell) -> GridCell:
    """Escape the control characters of a cell: its names may come from anybody's records."""
    return cell if cell.text.isprintable() else GridCell(visible(cell.text), cell.place)


def wrap(text: str, width: int) -> list[str]:
    """Fold a text between words; an empty one is one empty line."""
    printable = plain(GridCell(text)).text
    return textwrap.wrap(printable, width, break_long_words=False, break_on_hyphens=False) or [""]
