"""Tables for a terminal: best in bold, second underlined, as many columns at once as fit its width.

Laid out here, since rich measures each cell many times over and ten thousand records make large
tables.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from fewbench.errors import visible
from fewbench.report.tables.grid import Grid, GridCell

STYLES = {0: "{}", 1: "\x1b[1m{}\x1b[0m", 2: "\x1b[4m{}\x1b[0m"}
GAP = "  "


def terminal(grid: Grid, width: int, *, styled: bool = False) -> str:
    """Return a table's text of at most `width` columns, if a label and a cell fit into it.

    Args:
        grid: what is shown.
        width: of the terminal.
        styled: whether it shows bold and underlined.
    """
    rows = [[_plain(cell) for cell in row] for row in grid.rows]
    folded = [
        [*(_fold(cell, width // 2) for cell in row[: grid.labels]), *row[grid.labels :]]
        for row in rows
    ]
    heads = [[_plain(GridCell(line)) for line in head.split("\n")] for head in grid.header]
    sizes = [
        max(_width(line) for cell in (*head, *column) for line in cell.text.split("\n"))
        for head, column in zip_longest(heads, zip(*folded, strict=True), fillvalue=())
    ]
    lines = _wrap(grid.caption, width)
    for part in _parts(sizes, grid.labels, width):
        columns = [*range(grid.labels), *part]
        shown = [(sizes[number], number < grid.labels) for number in columns]
        rows = [[row[number] for number in columns] for row in folded]
        height = max(len(heads[number]) for number in columns)
        top = [
            [([GridCell("")] * height + heads[number])[-height:][line] for number in columns]
            for line in range(height)
        ]
        lines += ["", *(_line(row, shown, styled=False) for row in top)]
        lines.append("─" * (sum(size for size, _ in shown) + len(GAP) * (len(shown) - 1)))
        lines += [line for row in rows for line in _lines(row, shown, styled)]
    return "\n".join([*lines, "", *(line for note in grid.notes for line in _wrap(note, width))])


def _parts(sizes: Sequence[int], labels: int, width: int) -> Iterator[range]:
    """Yield the columns of each table: as many as fit beside the labels, and at least one."""
    start = labels
    while start < len(sizes):
        end = start + 1
        while (
            end < len(sizes)
            and sum(sizes[:labels])
            + sum(sizes[start : end + 1])
            + len(GAP) * (labels + end - start)
            <= width
        ):
            end += 1
        yield range(start, end)
        start = end


def _lines(
    row: Sequence[GridCell], shown: Sequence[tuple[int, bool]], styled: bool
) -> Iterator[str]:
    """Yield the lines of a row: more than one where a label is folded."""
    if not any("\n" in cell.text for cell in row):
        yield _line(row, shown, styled)
        return
    for cells in zip_longest(
        *([GridCell(line, cell.place) for line in cell.text.split("\n")] for cell in row)
    ):
        yield _line([cell or GridCell("") for cell in cells], shown, styled)


def _line(row: Sequence[GridCell], shown: Sequence[tuple[int, bool]], styled: bool) -> str:
    cells = []
    for cell, (size, left) in zip(row, shown, strict=True):
        blank = " " * (size - _width(cell.text))
        text = STYLES[cell.place if styled else 0].format(cell.text)
        cells.append(text + blank if left else blank + text)
    return GAP.join(cells).rstrip()


def _fold(cell: GridCell, width: int) -> GridCell:
    return (
        cell
        if len(cell.text) <= width
        else GridCell("\n".join(textwrap.wrap(cell.text, width)), cell.place)
    )


def _plain(cell: GridCell) -> GridCell:
    """Return a cell without what a terminal would obey: names may come from anybody's records."""
    return cell if cell.text.isprintable() else GridCell(visible(cell.text), cell.place)


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        _plain(GridCell(text)).text, width, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _width(text: str) -> int:
    """How many columns a terminal gives a text: two a Chinese character."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
