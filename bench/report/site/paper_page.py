"""The page of a paper: its numbers by table, and which of them can be made here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from fewbench.registry.papers import Paper
from fewbench.report.page.markup import Markup
from fewbench.report.published import Published
from fewbench.report.reproduce.cells import PlannedRow, TablePlan
from fewbench.report.reproduce.show import reasons
from fewbench.report.site.html import code, joined, link, listing, pairs, table, tag
from fewbench.report.site.method_page import paper_path
from fewbench.report.site.shell import page


class PaperUse(NamedTuple):
    """A paper, and what of it is here: methods and tasks by name, and its tables."""

    paper: Paper
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    tables: tuple[TablePlan, ...]


def paper_page(use: PaperUse, known: Collection[str], site: str) -> bytes:
    """Return the page of a paper.

    Args:
        use: the paper, and what of it is here.
        known: names of methods with pages.
        site: title of the site.
    """
    paper = use.paper
    return page(
        paper_path(paper),
        paper.full_title,
        site,
        _facts(use),
        *_summary(use),
        *(part for planned in use.tables for part in _table(planned, known)),
        tag("h2", "BibTeX"),
        listing(paper.bibtex(), "BibTeX"),
    )


def _facts(use: PaperUse) -> Markup:
    paper = use.paper
    methods = (link(name, f"../methods/{name}.html") for name in use.methods)
    return pairs(
        [
            ("Authors", " and ".join(map(_natural, paper.authors)).replace(" and ", ", ")),
            ("Appeared", paper.venue_text),
            ("Address", link(paper.address, paper.address) if paper.address else ""),
            ("Methods here", joined(methods, ", ")),
            ("Tasks here", joined(map(code, use.tasks), ", ")),
        ]
    )


def _natural(author: str) -> str:
    """Return an author's name in reading order."""
    surname, _, given = author.partition(", ")
    return f"{given} {surname}".strip() if surname != "others" else "and others"


def _summary(use: PaperUse) -> list[Markup]:
    """Return the tables with the number of their cells that can be made here."""
    if not use.tables:
        return []
    rows = []
    for planned in use.tables:
        printed = planned.table
        title = link(f"Table {printed.table}", f"#table-{printed.table}")
        rows.append((title, printed.title, str(len(planned.cells)), str(_made(planned))))
    header = ("table", "what it shows", "numbers", "can be made here")
    intro = joined(
        [
            "Numbers are as the paper prints them: other people's runs, with no rank here. ",
            code("bench reproduce"),
            " makes the runs of those that methods, tasks and measurements of this project cover.",
        ]
    )
    return [
        tag("h2", "Published numbers"),
        tag("p", intro),
        table("Tables", header, rows, numeric=(2, 3)),
    ]


def _made(planned: TablePlan) -> int:
    return sum(row.had for row in planned.rows)


def _table(planned: TablePlan, known: Collection[str]) -> list[Markup]:
    """Return one table: its numbers, the command, and why some of them cannot be made."""
    printed = planned.table
    name = f"Table {printed.table}"
    title = f"{name}: {printed.title}" if printed.title else name
    marks = _Marks(planned)
    columns = list(dict.fromkeys(_column(cell.number) for cell in planned.cells))
    shown = {column: _Shown(planned, column, marks) for column in columns}
    rows = [_row(row, shown, known) for row in planned.rows]
    header = ["row", "method here", "backbone", "K", *(_header(column) for column in columns)]
    numeric = [3, *range(4, 4 + len(columns))]
    return [
        tag("h2", title, id=f"table-{printed.table}"),
        table(f"{name} as printed", header, rows, numeric),
        *marks.notes(),
        *_reproduction(planned),
    ]


def _column(number: Published) -> tuple[str, str]:
    return number.column, number.metric


def _header(column: tuple[str, str]) -> Markup:
    name, metric = column
    return joined([name, tag("small", metric.replace("_", " "))])


class _Marks:
    """Numbers the footnotes of a table; a note of all its numbers has no mark."""

    def __init__(self, planned: TablePlan) -> None:
        notes = [cell.number.note for cell in planned.cells]
        different = dict.fromkeys(filter(None, notes))
        self._all = notes[0] if len({*notes}) == 1 else ""
        self._marks = {} if self._all else {note: str(n) for n, note in enumerate(different, 1)}

    def of(self, number: Published) -> Markup:
        mark = self._marks.get(number.note)
        return tag("sup", mark) if mark else Markup()

    def notes(self) -> list[Markup]:
        if self._all:
            return [tag("p", f"All: {self._all}.", class_="notes")]
        lines = [tag("li", note) for note in self._marks]
        return [tag("ol", *lines, class_="notes")] if lines else []


class _Shown:
    """Writes the numbers of a column, all with as many digits as any of them has."""

    def __init__(self, planned: TablePlan, column: tuple[str, str], marks: _Marks) -> None:
        values = [cell.number.value for cell in planned.cells if _column(cell.number) == column]
        self._digits = max(len(f"{value:g}".partition(".")[2]) for value in values)
        self._column = column
        self._marks = marks

    def of(self, row: PlannedRow) -> Markup:
        """Return the numbers of a row in the column."""
        found = (cell.number for cell in row.cells if _column(cell.number) == self._column)
        return joined(map(self._number, found), ", ")

    def _number(self, number: Published) -> Markup:
        std = "" if number.std is None else f" ± {number.std:.{self._digits}f}"
        return joined([f"{number.value:.{self._digits}f}{std}", self._marks.of(number)])


def _row(
    row: PlannedRow, columns: Mapping[tuple[str, str], _Shown], known: Collection[str]
) -> list[str]:
    first = row.first
    numbers = [shown.of(row) for shown in columns.values()]
    return [
        row.label,
        joined([_method(method, known) for method in row.methods or ("",)], "; "),
        first.backbone or "–",
        first.k or "–",
        *numbers,
    ]


def _method(typed: str, known: Collection[str]) -> str:
    """Return a method of ours, with a link to its page if there is one."""
    name = typed.partition(":")[0]
    shown = link(typed, f"../methods/{name}.html") if name in known else typed
    return tag("span", shown, class_="typed") if typed else "–"


def _reproduction(planned: TablePlan) -> list[Markup]:
    made, total = _made(planned), len(planned.cells)
    lacking = [
        tag("li", f"{reason.cells}: {reason.text} ({reason.where})") for reason in reasons(planned)
    ]
    lead = f"{made} of {total} numbers can be made here" + (":" if made else ".")
    command = f"bench reproduce {planned.table.paper} {planned.table.table}"
    return [
        tag("p", lead),
        *([listing(command, f"Command for Table {planned.table.table}")] if made else []),
        *([tag("p", "Not made:"), tag("ul", *lacking)] if lacking else []),
    ]
