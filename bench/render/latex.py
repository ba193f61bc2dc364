r"""LaTeX tables for the package booktabs: best in bold, second underlined."""

from __future__ import annotations

from fewbench.tables.grid import Grid

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
        _row([MARKS[cell.place].format(escape(cell.text)) if cell.text else "" for cell in row]) for row in grid.rows
    ]
    columns = "l" * grid.labels + "r" * (len(grid.header) - grid.labels)
    comments = [f"% {line}" for text in (grid.caption, *grid.notes) for line in text.splitlines()]
    start, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    return "\n".join([*comments, start, r"\toprule", _row(heads), r"\midrule", *body, r"\bottomrule", end])


def escape(text: str) -> str:
    """Return a text that LaTeX prints as it stands."""
    return text.translate(ESCAPES)


def _head(lines: list[str]) -> str:
    return escape(lines[0]) if len(lines) == 1 else r"\shortstack{" + r"\\".join(map(escape, lines)) + "}"


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
