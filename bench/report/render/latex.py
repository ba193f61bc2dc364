r"""LaTeX tables for the package booktabs: best in bold, second underlined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fewbench.errors import visible
from fewbench.report.tables.grid import Grid, GridCell

MARKS = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}

ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{character: "\\" + character for character in "&%$#_{}"},
        "\n": " ",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
        "–": "--",
        "…": r"\dots{}",
        "·": r"$\cdot$",
        "†": r"$\dagger$",
        "‡": r"$\ddagger$",
        "§": r"\S{}",
        "¶": r"\P{}",
        "×": r"$\times$",
        "≠": r"$\neq$",
        "▲": r"$\blacktriangle$",
        "▼": r"$\blacktriangledown$",
        "−": "$-$",
    }
)
"""Characters that LaTeX would not print unchanged. The triangles need the package amssymb."""


def latex(grid: Grid) -> str:
    """Return a tabular; the caption and the notes are comments above it."""
    columns = "l" * grid.labels + "r" * (len(grid.header) - grid.labels)
    return "\n".join(
        [
            *_comments([grid.caption, *grid.notes]),
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _line([_head(text) for text in grid.header]),
            r"\midrule",
            *(_row(row) for row in grid.rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def escape(text: str) -> str:
    """Return a text that LaTeX prints unchanged."""
    return visible(text, lines=True).translate(ESCAPES)


def _comments(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for line in text.splitlines():
            yield f"% {visible(line)}"


def _head(text: str) -> str:
    lines = text.split("\n")
    if len(lines) == 1:
        return escape(text)
    stacked = r"\\".join(_start(escape(line)) for line in lines)
    return r"\shortstack{" + stacked + "}"


def _row(cells: Iterable[GridCell]) -> str:
    return _line(
        [MARKS[cell.place].format(escape(cell.text)) if cell.text else "" for cell in cells]
    )


def _line(cells: Iterable[str]) -> str:
    return _start(" & ".join(cells)) + r" \\"


def _start(text: str) -> str:
    """Protect a leading bracket or star, which a line end takes as its argument."""
    return "{}" + text if text.lstrip().startswith(("[", "*")) else text
