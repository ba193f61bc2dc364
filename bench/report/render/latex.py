r"""LaTeX tables for the package booktabs: best in bold, second underlined."""

from __future__ import annotations

from fewbench.errors import visible
from fewbench.report.tables.grid import Grid

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
"""What LaTeX reads otherwise than it is written. The triangles need the package amssymb."""


def latex(grid: Grid) -> str:
    """Return a tabular; the caption and the notes are comments above it."""
    heads = [_head(head.split("\n")) for head in grid.header]
    body = [
        _row([MARKS[cell.place].format(escape(cell.text)) if cell.text else "" for cell in row])
        for row in grid.rows
    ]
    columns = "l" * grid.labels + "r" * (len(grid.header) - grid.labels)
    comments = [
        f"% {visible(line)}" for text in (grid.caption, *grid.notes) for line in text.splitlines()
    ]
    start, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    return "\n".join(
        [*comments, start, r"\toprule", _row(heads), r"\midrule", *body, r"\bottomrule", end]
    )


def escape(text: str) -> str:
    """Return a text that LaTeX prints as it stands."""
    return visible(text, lines=True).translate(ESCAPES)


def _head(lines: list[str]) -> str:
    shown = [_first(escape(line)) for line in lines]
    return escape(lines[0]) if len(lines) == 1 else r"\shortstack{" + r"\\".join(shown) + "}"


def _row(cells: list[str]) -> str:
    return _first(" & ".join(cells)) + r" \\"


def _first(text: str) -> str:
    """Return what stands after a line's end, which would take a bracket or a star for its own
    argument.
    """
    return "{}" + text if text.lstrip().startswith(("[", "*")) else text
