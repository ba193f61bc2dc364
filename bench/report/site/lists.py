"""The pages that list the others: methods, papers, and everything with the data files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fewbench.report.declarations import MethodDeclaration
from fewbench.report.evidence import Evidence
from fewbench.report.page.markup import Markup
from fewbench.report.site.html import code, joined, link, table, tag
from fewbench.report.site.method_page import method_path, paper_path
from fewbench.report.site.paper_page import PaperUse
from fewbench.report.site.shell import page

DATA = {
    "data/cells.csv": "every mean of the board with its std, seeds and terms",
    "data/cells.json": "the same as JSON",
    "data/runs.csv": "every run: its identity, scores, time, commit",
    "data/trials.csv": "every trial of every run: settings and dev score",
    "data/published.csv": "the numbers that papers print",
}
"""The data files of the site."""


def methods_page(
    methods: Sequence[MethodDeclaration], evidence: Mapping[str, Sequence[Evidence]], site: str
) -> bytes:
    """Return the list of methods."""
    rows = []
    for method in methods:
        lines = evidence.get(method.name, ())
        papers = (link(paper.reference, f"../{paper_path(paper)}") for paper in method.papers)
        tasks = len({line.task for line in lines})
        rows.append(
            (
                link(method.name, f"{method.name}.html"),
                method.summary,
                joined(papers, "; "),
                ", ".join(method.groups) or "–",
                str(tasks or "–"),
            )
        )
    header = ("method", "what it does", "papers", "groups", "tasks with runs")
    intro = f"{len(methods)} methods, each a file: what it does, its settings, its evidence."
    return page(
        "methods/index.html",
        "Methods",
        site,
        tag("p", intro, class_="lead"),
        table("All methods", header, rows, numeric=(4,)),
    )


def papers_page(uses: Sequence[PaperUse], site: str) -> bytes:
    """Return the list of papers."""
    rows = []
    for use in uses:
        methods = (link(name, f"../{method_path(name)}") for name in use.methods)
        rows.append(
            (
                _name(use),
                joined(methods, ", ") or "–",
                joined(map(code, use.tasks), ", ") or "–",
                ", ".join(planned.table.table for planned in use.tables) or "–",
            )
        )
    header = ("paper", "methods", "tasks", "printed tables")
    intro = "The papers that methods, tasks and published numbers here are of."
    return page(
        "papers/index.html",
        "Papers",
        site,
        tag("p", intro, class_="lead"),
        table("All papers", header, rows),
    )


def _name(use: PaperUse) -> Markup:
    """Return a link to a paper's page, with its title where the link says less."""
    paper = use.paper
    name = link(paper.reference, f"{paper.key}.html")
    is_whole = paper.reference.startswith(paper.title)
    return name if is_whole else joined([name, tag("small", paper.title)])


def contents_page(
    methods: Sequence[MethodDeclaration], uses: Sequence[PaperUse], site: str
) -> bytes:
    """Return the page that links to every page and data file."""
    return page(
        "contents.html",
        "All pages and data",
        site,
        tag("h2", "Data"),
        tag("ul", *(tag("li", link(path, path), f": {what}") for path, what in DATA.items())),
        tag("h2", "Methods"),
        _links((method.name, method_path(method.name)) for method in methods),
        tag("h2", "Papers"),
        _links((use.paper.reference, paper_path(use.paper)) for use in uses),
    )


def _links(places: Iterable[tuple[str, str]]) -> Markup:
    return tag("ul", *(tag("li", link(text, path)) for text, path in places), class_="site-list")
