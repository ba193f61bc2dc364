r"""Tables as floats of a two-column paper: caption, label, cells, notes, in the width that fits.

A table is a `table` where it fits a column of text, else a `table*` over both. What is wider still
is cut between columns into tabulars below one another, what is longer than a page into several
floats. Needs the packages booktabs and amssymb, and siunitx where it is asked for (`PREAMBLE`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fewbench.report.render.latex import MARKS, escape
from fewbench.report.tables.grid import Grid, GridCell

COLUMN, PAGE = 52, 116
"""The characters of \\footnotesize that fit a column of text, and both."""

SI_SHARE = 0.87
"""The share of these that fits in columns of siunitx, where deviations are as large as means."""

LONGEST = 48
"""The most rows of a float, all its tabulars together."""

BETWEEN = 2
"""The characters that the space between two columns takes."""

PREAMBLE = r"""\usepackage{booktabs}
\usepackage{amssymb}
\usepackage{graphicx}"""

SIUNITX = r"""\usepackage{siunitx}
\sisetup{separate-uncertainty, table-align-uncertainty, detect-all, mode=text}"""

ITALIC = {**MARKS, 2: r"\textit{{{}}}"}
"""How the best two of a column are set beside columns of siunitx, which cannot underline."""

_NUMBER = re.compile(r"(?P<mean>-?\d+\.\d+)(?: ±(?P<std>\d+\.\d+))?(?P<rest>(?:\D.*)?)", re.DOTALL)
_SIGNS = re.compile("[▲▼?†‡¶§×]+")
_COUNT = re.compile(r"\(\d\)")


class PaperTable(NamedTuple):
    """A grid with the words of a paper: its caption, label and notes."""

    grid: Grid
    caption: str
    label: str
    notes: Sequence[str] = ()


def floats(table: PaperTable, *, siunitx: bool = False) -> str:
    """Return a table as one float or several."""
    grid = table.grid
    has_deviations = any("±" in cell.text for row in grid.rows for cell in row)
    share = SI_SHARE if siunitx and has_deviations else 1.0
    chunks = _column_chunks(grid, share * PAGE)
    per_float = max(1, LONGEST // len(chunks))
    groups = [grid.rows[at : at + per_float] for at in range(0, len(grid.rows), per_float)]
    wide = _is_wide(grid, chunks, share * COLUMN)
    texts = []
    for number, rows in enumerate(groups or [[]]):
        tabulars = [_tabular(grid, rows, chunk, siunitx=siunitx) for chunk in chunks]
        texts.append(_float(table, tabulars, number, wide=wide))
    return "\n\n".join(texts) + "\n"


def _float(table: PaperTable, tabulars: Sequence[str], number: int, *, wide: bool) -> str:
    kind = "table*" if wide else "table"
    more = " (continued)" if number else ""
    label = f"{table.label}-{number + 1}" if number else table.label
    notes = "; ".join(escape(note) for note in table.notes)
    body = "\n\\par\\medskip\n".join(tabulars)
    lines = [
        rf"\begin{{{kind}}}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{5pt}\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{escape(table.caption)}{more}}}",
        rf"\label{{{label}}}",
        body,
    ]
    if notes:
        lines.append(rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {notes}.}}")
    return "\n".join([*lines, rf"\end{{{kind}}}"])


def _widths(grid: Grid) -> list[int]:
    """Return the characters that each column takes."""
    widths = [max(map(len, head.split("\n"))) for head in grid.header]
    for row in grid.rows:
        lengths = [len(_SIGNS.sub("", cell.text)) for cell in row]
        widths = [max(pair) for pair in zip(widths, lengths, strict=True)]
    return [width + BETWEEN for width in widths]


def _is_wide(grid: Grid, chunks: Sequence[Sequence[int]], room: float) -> bool:
    widths = _widths(grid)
    labels = sum(widths[: grid.labels])
    widest = max(sum(map(widths.__getitem__, chunk)) for chunk in chunks)
    return labels + widest > room


def _column_chunks(grid: Grid, width: float) -> list[list[int]]:
    """Cut the columns behind the labels into groups that fit a page beside these."""
    widths = _widths(grid)
    room = width - sum(widths[: grid.labels])
    chunks: list[list[int]] = [[]]
    used = 0
    for at in range(grid.labels, len(grid.header)):
        if chunks[-1] and used + widths[at] > room:
            chunks.append([])
            used = 0
        chunks[-1].append(at)
        used += widths[at]
    return chunks


def _tabular(
    grid: Grid, rows: Sequence[Sequence[GridCell]], chunk: Sequence[int], *, siunitx: bool
) -> str:
    """Return a tabular of some rows and columns, those of the labels first."""
    columns = [*range(grid.labels), *chunk]
    kinds = {at: "l" for at in range(grid.labels)}
    for at in chunk:
        kinds[at] = _si_column([row[at].text for row in grid.rows]) if siunitx else "r"
    heads = [_head(grid.header[at], braced=kinds[at].startswith("S")) for at in columns]
    lines = [
        rf"\begin{{tabular}}{{@{{}}{''.join(kinds.values())}@{{}}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
        *_rows(rows, kinds, siunitx=siunitx),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


def _rows(
    rows: Sequence[Sequence[GridCell]], kinds: Mapping[int, str], *, siunitx: bool
) -> Iterator[str]:
    """Yield the lines of a tabular, whose columns have these kinds."""
    marks = ITALIC if siunitx else MARKS
    for row in rows:
        cells = []
        for at, kind in kinds.items():
            if kind == "l":
                cells.append(_start(escape(row[at].text)))
            else:
                cells.append(_cell(row[at], marks) if kind == "r" else _si_cell(row[at]))
        yield " & ".join(cells) + r" \\"


def _cell(cell: GridCell, marks: Mapping[int, str]) -> str:
    """Return a cell: the mean, its deviation small, signs raised."""
    found = _NUMBER.fullmatch(cell.text)
    if found is None:
        return _start(escape(cell.text))
    mean = marks[cell.place].format(found["mean"].replace("-", "$-$"))
    std = rf"\,{{\scriptsize$\pm${found['std']}}}" if found["std"] else ""
    return mean + std + _raised(found["rest"])


def _si_cell(cell: GridCell) -> str:
    """Return a cell of a column of siunitx; the second best is italic, not underlined."""
    found = _NUMBER.fullmatch(cell.text)
    if found is None:
        return f"{{{escape(cell.text)}}}"
    weight = {1: r"\bfseries ", 2: r"\itshape "}.get(cell.place, "")
    std = rf" \pm {found['std']}" if found["std"] else ""
    rest = _raised(found["rest"])
    if rest and not rest.startswith(r"\rlap"):
        rest = rf"\rlap{{{rest}}}"
    if found["std"] == "0.0":  # siunitx leaves an uncertainty of zero out
        return f"{{{weight}{found['mean']} $\\pm$ 0.0{rest}}}"
    return f"{weight}{found['mean']}{std}" + (f"{{{rest}}}" if rest else "")


def _si_column(texts: Sequence[str]) -> str:
    """Return the kind of a column of siunitx, by its longest number; "r" if words follow numbers.

    A column of siunitx has no room for these, and would print them over the next; a number of
    seeds, of one digit, fits the space between two.
    """
    found = [number for text in texts if (number := _NUMBER.fullmatch(text))]
    if not found or not all(_fits_behind(number["rest"]) for number in found):
        return "r"
    whole, decimals = zip(*(number["mean"].split(".") for number in found), strict=True)
    stds = [number["std"].replace(".", "").lstrip("0") for number in found if number["std"]]
    deviation = f"({max(2, _longest(stds))})" if stds else ""
    return f"S[table-format={max(2, _longest(whole))}.{_longest(decimals)}{deviation}]"


def _fits_behind(rest: str) -> bool:
    """True of what fits the space behind a column of siunitx: signs, a number of one digit."""
    words = _SIGNS.sub("", rest).strip()
    return not words or _COUNT.fullmatch(words) is not None


def _longest(texts: Sequence[str]) -> int:
    return max(map(len, texts))


def _raised(rest: str) -> str:
    """Return the end of a cell, behind its number: words small, signs raised beside the column."""
    signs = _SIGNS.match(rest)
    text = (rest[signs.end() :] if signs else rest).strip()
    raised = rf"\textsuperscript{{{escape(signs[0])}}}" if signs else ""
    if text:
        return raised + rf"\,{{\scriptsize {escape(text)}}}"
    return rf"\rlap{{{raised}}}" if raised else ""


def _head(text: str, *, braced: bool) -> str:
    lines = [_start(escape(line)) for line in text.split("\n")]
    stacked = r"\\".join(rf"\vphantom{{pl}}{line}" for line in lines)  # of one height
    head = rf"\shortstack{{{stacked}}}" if len(lines) > 1 else lines[0]
    return f"{{{head}}}" if braced else head


def _start(text: str) -> str:
    """Protect a leading bracket or star, which a line end takes as its argument."""
    return "{}" + text if text.lstrip().startswith(("[", "*")) else text
