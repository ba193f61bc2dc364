"""Lists for a terminal: columns of texts and numbers, folded between words to fit its width.

No word, key or number is broken. Columns that do not fit side by side follow below, each time with
the first column.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

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
    narrowest = [
        widest[number] if number in right else _narrowest(column)
        for number, column in enumerate(columns)
    ]
    narrowest[0] = max(narrowest[0], min(widest[0], width // 2))
    lines: list[str] = []
    for part in parts(narrowest, 1, width) if len(header) > 1 else [range(0)]:
        numbers = [0, *part]
        widths = _fit([widest[n] for n in numbers], [narrowest[n] for n in numbers], width)
        layout = [
            ColumnLayout(column_width, number not in right)
            for number, column_width in zip(numbers, widths, strict=True)
        ]
        heads = [head_cells(fold(header[n], w)) for n, w in zip(numbers, widths, strict=True)]
        lines += ["", *head_lines(heads, layout), rule(layout)]
        for row in texts:
            cells = [GridCell(fold(row[n], w)) for n, w in zip(numbers, widths, strict=True)]
            lines += row_lines(cells, layout, styled=False)
    return "\n".join(lines[1:])


def _plain_texts(row: Sequence[str]) -> list[str]:
    return [plain(GridCell(text)).text for text in row]


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
