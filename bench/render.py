"""A table's text: for a terminal, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from fewbench.table import Block, Cell, Column, Row, to_rows


class Text(NamedTuple):
    """A cell as shown, and its place in its column: 1 is best, 2 second, 0 any other."""

    text: str
    place: int = 0


class Grid(NamedTuple):
    """A block as text: a caption, a header (parts of several lines), rows, and notes on what is marked."""

    caption: str
    header: list[str]
    rows: list[list[Text]]
    notes: list[str]


def to_grid(block: Block) -> Grid:
    """Return a block as text, whatever it will be printed as."""
    students = sorted({row.student for row in block.rows if row.student})
    counts = {cell.n for cell in block.cells.values() if cell.n}
    same = len(counts) == 1
    rows = []
    places = {column: _places(block, column) for column in block.columns}
    averages = [block.average(row) for row in block.rows]
    with_average = any(average is not None for average in averages)
    for row, average in zip(block.rows, averages, strict=True):
        name = row.method if len(students) < 2 or not row.student else f"{row.method} ({row.student})"
        cells = [
            Text(_cell(block.cells.get((row, column)), block.ddof, same), places[column].get(row, 0))
            for column in block.columns
        ]
        last = [Text("–" if average is None else f"{100 * average:.1f}")] if with_average else []
        rows.append([Text(name), *cells, *last])
    caption = f"K={block.k} · {block.protocol}" + (f" · student {students[0]}" if len(students) == 1 else "")
    caption += f" · mean ± std over n={counts.copy().pop()} split seeds" if same else " · mean ± std (n split seeds)"
    caption += f", ddof={block.ddof}"
    if block.limit:
        caption += f" · a draw of {block.limit} test rows only: NOT COMPARABLE"
    if block.drop_leaks:
        caption += " · without test rows that stand in train or dev: NOT COMPARABLE with scores on all rows"
    header = ["method", *(_head(column, block.columns) for column in block.columns), *(["average"] * with_average)]
    return Grid(caption, header, rows, _notes(block))


def _places(block: Block, column: Column) -> dict[Row, int]:
    """Return the rows whose mean, as printed, is the best or the second best of a column."""
    shown = {row: round(100 * block.cells[row, column].mean, 1) for row in block.best(column)}
    best = sorted(set(shown.values()), reverse=True)[:2]
    return {row: best.index(value) + 1 for row, value in shown.items() if value in best} if len(shown) > 1 else {}


def _head(column: Column, columns: Sequence[Column]) -> str:
    twins = [c for c in columns if (c.task, c.source, c.template) == (column.task, column.source, column.template)]
    mark = f"\n#{column.test_fingerprint[:6]}" if len(twins) > 1 else ""
    template = f"\n+{column.template}" if column.template else ""
    return f"{column.task}\n@{column.source}{template}{mark}\n{column.metric}"


def _cell(cell: Cell | None, ddof: int, same_n: bool) -> str:
    if cell is None:
        return "–"
    failed = f"{cell.failed} failed" if cell.failed else ""
    if not cell.n:
        return failed
    std = cell.std(ddof)
    text = f"{100 * cell.mean:.1f}" + ("" if std is None or cell.n == 1 else f" ±{100 * std:.1f}")
    text += "†" if cell.stale else ""
    return " ".join(part for part in (text, "" if same_n else f"({cell.n})", failed) if part)


def _notes(block: Block) -> list[str]:
    notes = []
    missing = len(block.rows) * len(block.columns) - len(block.cells)
    if missing:
        notes.append("– no run stored: bench run with that method and task")
    if any(cell.stale for cell in block.cells.values()):
        notes.append("† made by an older version of the method's code: bench run --force redoes it")
    if any(cell.failed for cell in block.cells.values()):
        notes.append("failed runs: bench run --retry-failed redoes them, bench show KEY says why")
    return notes


def terminal(grid: Grid, width: int) -> list[object]:
    """Return what rich prints: the caption, tables of as many columns as fit the width, the notes.

    Best in bold, second underlined.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text as Rich

    widths = [max(len(line) for line in head.split("\n")) for head in grid.header]
    # two of padding and one between columns
    widths = [max(w, *(len(row[i].text) for row in grid.rows)) + 3 for i, w in enumerate(widths)]
    printed: list[object] = [Rich(grid.caption)]
    start = 1
    while start < len(widths):
        end = start + 1
        while end < len(widths) and widths[0] + sum(widths[start : end + 1]) <= width:
            end += 1
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number in (0, *range(start, end)):
            table.add_column(grid.header[number], justify="right" if number else "left", no_wrap=number > 0)
        for row in grid.rows:
            styles = {1: "bold", 2: "underline"}
            table.add_row(*(Rich(row[i].text, styles.get(row[i].place, "")) for i in (0, *range(start, end))))
        printed.append(table)
        start = end
    return [*printed, *(Rich(text, "dim") for text in grid.notes)]


def markdown(grid: Grid) -> str:
    """Return a Markdown table; best in bold, second in italics."""
    marks = {0: "{}", 1: "**{}**", 2: "*{}*"}
    lines = [
        "| " + " | ".join(head.replace("\n", " ") for head in grid.header) + " |",
        "| --- |" + " ---: |" * (len(grid.header) - 1),
    ]
    for row in grid.rows:
        lines.append("| " + " | ".join(marks[cell.place].format(cell.text.replace("|", r"\|")) for cell in row) + " |")
    return "\n".join([grid.caption, "", *lines, *(f"\n{text}" for text in grid.notes)])


def latex(grid: Grid) -> str:
    """Return a LaTeX table for booktabs; best in bold, second underlined."""
    marks = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
    heads = [r"\shortstack{" + r"\\".join(map(_escape, head.split("\n"))) + "}" for head in grid.header]
    body = [" & ".join(marks[cell.place].format(_escape(cell.text)) for cell in row) + r" \\" for row in grid.rows]
    columns = "l" + "r" * (len(grid.header) - 1)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", " & ".join(heads) + r" \\", r"\midrule", *body]
    comments = [f"% {text}" for text in (grid.caption, *grid.notes)]
    return "\n".join([*comments, *lines, r"\bottomrule", r"\end{tabular}"])


def _escape(text: str) -> str:
    for plain, escaped in (("\\", r"\textbackslash "), *((c, "\\" + c) for c in "&%$#_{}")):
        text = text.replace(plain, escaped)
    for plain, escaped in (("±", r"$\pm$"), ("–", "--"), ("†", r"$\dagger$"), ("~", r"\textasciitilde ")):
        text = text.replace(plain, escaped)
    return text


def to_csv(blocks: Sequence[Block]) -> str:
    """Return every cell as a row of CSV; lists are joined by spaces."""
    rows = to_rows(blocks)
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys() if rows else ["task"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in row.items()})
    return out.getvalue().rstrip("\n")
