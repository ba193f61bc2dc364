"""A study as a folder of LaTeX: a float for each table and figure, and a document with them all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fewbench.report.paper.floats import PREAMBLE, SIUNITX, PaperTable, floats
from fewbench.report.render.latex import escape
from fewbench.report.tables.blocks import worst_first
from fewbench.report.tables.entry import Entry
from fewbench.report.tables.grid import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLES, FIGURES = "tables", "figures"

WIDE_INCHES = 4.0
"""A figure of more inches than this goes over both columns."""

FITTED = r"width=\linewidth,height=0.85\textheight,keepaspectratio"
"""The size of a figure: as wide as its place, and no longer than a page."""

SCORES = "Best in bold, second {second}."
HEAD = r"""% Compiles as it is: pdflatex main.tex, twice. To use a float in a paper of yours, \input
% its file, and take over the \usepackage lines from booktabs on.
\documentclass[twocolumn,10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage[margin=0.8in]{geometry}
"""


@dataclass(slots=True)
class Study:
    """The files of a study, by their path in its folder, in the order of the document.

    Args:
        siunitx: set numbers in columns of the package siunitx.
        protocols: the names of those that captions mention.
    """

    siunitx: bool = False
    protocols: frozenset[str] = frozenset()
    files: dict[PurePosixPath, bytes] = field(default_factory=dict)
    labels: dict[str, PurePosixPath] = field(default_factory=dict)

    def add_table(self, grid: Grid, *, title: str, notes: Iterable[str] = ()) -> None:
        """Add a table.

        Args:
            grid: the table; what its caption says of the runs goes into the float's.
            title: the beginning of the caption.
            notes: besides the grid's own.
        """
        grid, shared = _without_shared_lines(grid)
        facts = ", ".join([*shared, *map(self._fact, grid.caption.split(" · "))])
        caption = f"{title}: {facts}." if facts else f"{title}."
        if any(cell.place for row in grid.rows for cell in row):
            caption += " " + SCORES.format(second="italic" if self.siunitx else "underlined")
        label = self._label("tab", f"{title} {_conditions(grid.caption)}")
        table = PaperTable(grid, caption, label, [*map(for_paper, grid.notes), *notes])
        self._add(TABLES, label, floats(table, siunitx=self.siunitx).encode())

    def add_figure(self, name: str, figure: Figure, pdf: bytes, caption: str) -> None:
        """Add a figure as a PDF, with the float that shows it."""
        label = self._label("fig", name)
        stem = label.partition(":")[2]
        kind = "figure*" if figure.get_figwidth() > WIDE_INCHES else "figure"
        lines = [
            rf"\begin{{{kind}}}[t]",
            r"\centering",
            rf"\includegraphics[{FITTED}]{{{FIGURES}/{stem}.pdf}}",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{{label}}}",
            rf"\end{{{kind}}}",
        ]
        self.files[PurePosixPath(FIGURES, f"{stem}.pdf")] = pdf
        self._add(FIGURES, label, ("\n".join(lines) + "\n").encode())

    def document(self, title: str) -> bytes:
        """Return the document that holds all floats."""
        inputs = [rf"\input{{{path.with_suffix('')}}}" for path in self.labels.values()]
        packages = [PREAMBLE, *([SIUNITX] if self.siunitx else [])]
        lines = [
            HEAD + "\n".join(packages),
            rf"\title{{{escape(title)}}}",
            r"\author{}\date{}",
            r"\extrafloats{200}",
            r"\begin{document}",
            r"\maketitle",
            r"\listoftables\listoffigures",
            *inputs,
            r"\clearpage",
            r"\end{document}",
        ]
        return ("\n".join(lines) + "\n").encode()

    def _fact(self, part: str) -> str:
        """Return a part of a caption in a paper's words."""
        word = "protocol " if part.partition(" ")[0] in self.protocols else ""
        return word + part

    def _add(self, folder: str, label: str, data: bytes) -> None:
        path = PurePosixPath(folder, f"{label.partition(':')[2]}.tex")
        self.files[path] = data
        self.labels[label] = path

    def _label(self, kind: str, words: str) -> str:
        """Return a label that no other float has."""
        slug = re.sub("[^a-z0-9]+", "-", words.lower()).strip("-")[:60].strip("-")
        label, number = f"{kind}:{slug}", 1
        while label in self.labels:
            number += 1
            label = f"{kind}:{slug}-{number}"
        return label


def for_paper(note: str) -> str:
    """Return a table's note without the command that it names: no reader of a paper types it."""
    text = re.sub(r" \(bench [^)]*\)", "", note)
    return text.partition(": bench ")[0]


def _without_shared_lines(grid: Grid) -> tuple[Grid, list[str]]:
    """Take source and metric out of the heads of tasks where all have the same.

    Returns:
        The grid, and what the caption says in their place.
    """
    tasks = [head.split("\n") for head in grid.header if "\n@" in head]
    tails = {tuple(lines[1:]) for lines in tasks}
    if len(tails) != 1:
        return grid, []
    source, *marks, metric = tails.pop()
    header = [head.partition("\n@")[0] for head in grid.header]
    return grid._replace(header=header), [
        " ".join([f"{metric} on {source.removeprefix('@')}", *marks])
    ]


def _conditions(caption: str) -> str:
    """Return the parts of a caption that tell tables of one study from each other."""
    parts = caption.split(" · ")
    kept = [part for part in parts if not part.startswith(("mean", "student", "means"))]
    return " ".join(kept)


def one_order(cells: Iterable[Entry]) -> Mapping[str, Sequence[str]]:
    """Return the order of methods in all tables of a study: by mean over its cells, the best last.

    Tables sorted each by itself would have their rows in another order at every K.
    """
    means = [(cell.row.method, cell.mean) for cell in cells if not cell.source]
    return {"method": worst_first(means)}
