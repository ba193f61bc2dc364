"""Lists for a terminal: columns of texts and numbers, folded between words to fit its width.

No word, key or number is broken. Columns that do not fit side by side follow below, each time with
the first column.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from fewbench.report.render.fold import fold, text_width, words
from fewbench.report.render.terminal import (
    GAP,
    ColumnLayout,
    head_cells,
    head_lines,
    parts,
    plain,
    row_lines,
    rule,
)
from fewbench.report.tables.grid import GridCell


def fits(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """True if a list's columns fit side by side."""
    columns = [[name, *column] for name, *column in zip(header, *rows, strict=True)]
    widths = [_narrowest(column) for column in columns]
    return sum(widths) + len(GAP) * (len(widths) - 1) <= width


def listing(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    right: Collection[int] = (),
) -> str:
    """Return rows under a header, in at most `width` columns unless a word is wider.

    Args:
        header: a name per column.
        rows: their texts, in one line each.
        width: of the terminal.
        right: the numbers of the columns that are aligned to the right and never folded.
    """
    texts = [_plain_texts(row) for row in rows]
    columns = [[name, *column] for name, *column in zip(header, *texts, strict=True)]
    widest = [max(map(text_width, column)) for column in columns]
    narrowest = _least_widths(columns, right)
    narrowest[0] = max(narrowest[0], min(widest[0], width // 2))
    lines: list[str] = []
    for part in parts(narrowest, 1, width) if len(header) > 1 else [range(0)]:
        numbers = [0, *part]
        widths = _fit([widest[n] for n in numbers], [narrowest[n] for n in numbers], width)
        layout = {
            number: ColumnLayout(column_width, number not in right)
            for number, column_width in zip(numbers, widths, strict=True)
        }
        lines += ["", *_side_by_side(header, texts, layout)]
    return "\n".join(lines[1:])


def _side_by_side(
    header: Sequence[str], rows: Sequence[Sequence[str]], columns: Mapping[int, ColumnLayout]
) -> Iterator[str]:
    """Yield the lines of a header and rows, with some columns by their numbers."""
    layout = list(columns.values())
    yield from head_lines([head_cells(text) for text in _folded(header, columns)], layout)
    yield rule(layout)
    for row in rows:
        cells = [GridCell(text) for text in _folded(row, columns)]
        yield from row_lines(cells, layout, styled=False)


def _folded(texts: Sequence[str], columns: Mapping[int, ColumnLayout]) -> list[str]:
    """Return the texts of some columns, each folded to its column's width."""
    return [fold(texts[number], column.width) for number, column in columns.items()]


def _plain_texts(row: Sequence[str]) -> list[str]:
    return [plain(GridCell(text)).text for text in row]


def _least_widths(columns: Sequence[Sequence[str]], right: Collection[int]) -> list[int]:
    """Return the least width of each column; those in `right` are not folded."""
    return [
        max(map(text_width, column)) if number in right else _narrowest(column)
        for number, column in enumerate(columns)
    ]


def _narrowest(texts: Sequence[str]) -> int:
    """Return the width of a column that is folded wherever it may be."""
    pieces = (piece for text in texts for piece in words(text))
    return max((text_width(piece.strip()) for piece in pieces), default=0)


def _fit(widest: Sequence[int], narrowest: Sequence[int], width: int) -> list[int]:
    """Return widths that add up to a line: columns that lack little get what they lack first."""
    widths = list(narrowest)
    spare = width - len(GAP) * (len(widths) - 1) - sum(widths)
    lacking = sorted(range(len(widths)), key=lambda number: widest[number] - narrowest[number])
    for place, number in enumerate(lacking):
        share = max(spare, 0) // (len(lacking) - place)
        granted = min(widest[number] - narrowest[number], share)
        widths[number] += granted
        spare -= granted
    return widths
