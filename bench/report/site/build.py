"""All files of the site, by their paths."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence

from fewbench.registry.papers import Paper, papers, papers_in
from fewbench.report.declarations import MethodDeclaration, declarations
from fewbench.report.evidence import evidence_of
from fewbench.report.page.data import PageData, SitePages
from fewbench.report.page.markup import Markup
from fewbench.report.page.write import to_html
from fewbench.report.published import COLUMNS, Published
from fewbench.report.reproduce.cells import StandIns, TablePlan
from fewbench.report.reproduce.mapping import Known, plan_cells
from fewbench.report.reproduce.tables import PrintedTable, printed_tables
from fewbench.report.share.bundle import bundle
from fewbench.report.site.content import SiteContent
from fewbench.report.site.html import link
from fewbench.report.site.lists import contents_page, methods_page, papers_page
from fewbench.report.site.method_page import method_page, method_path, paper_path
from fewbench.report.site.paper_page import PaperUse, paper_page
from fewbench.report.site.shell import SECTIONS
from fewbench.report.tables.flat import to_rows

MODEL = "named"
"""Stands for the models of a table, where it only matters that there are some."""


def site_files(content: SiteContent) -> dict[str, bytes]:
    """Return the files of a site by their paths within it, records included.

    Raises:
        OSError: a record cannot be read.
    """
    declared = declarations(content.methods)
    evidence = evidence_of(content.blocks)
    uses = _uses(content, declared)
    names = [method.name for method in declared]
    title = content.title
    files = {
        "index.html": _board(content, names, uses),
        "contents.html": contents_page(declared, uses, title),
        "methods/index.html": methods_page(declared, evidence, title),
        "papers/index.html": papers_page(uses, title),
    }
    for method in declared:
        lines = evidence.get(method.name, ())
        printed = _printed(method.name, uses)
        path = method_path(method.name)
        files[path] = method_page(method, lines, printed, names, title)
    files |= {paper_path(use.paper): paper_page(use, names, title) for use in uses}
    return files | _data(content) | _records(content)


def _board(content: SiteContent, names: Iterable[str], uses: Sequence[PaperUse]) -> bytes:
    """Return the board, with links to the other pages."""
    pages: SitePages = {
        "methods": {name: f"./{method_path(name)}" for name in names},
        "papers": {use.paper.reference: f"./{paper_path(use.paper)}" for use in uses},
    }
    board: PageData = {**content.board, "pages": pages}
    others = {path: title for path, title in SECTIONS.items() if path != "index.html"}
    titles = {"methods/index.html": "Method pages", "papers/index.html": "Paper pages"}
    links = [link(titles.get(path, title), f"./{path}") for path, title in others.items()]
    return to_html(board, content.title, Markup("\n".join(links))).encode("utf-8")


def _uses(content: SiteContent, declared: Sequence[MethodDeclaration]) -> list[PaperUse]:
    """Return the papers that have something here, in the order of the registry."""
    methods: dict[Paper, list[str]] = {}
    tasks: dict[Paper, list[str]] = {}
    for method in declared:
        for paper in method.papers:
            methods.setdefault(paper, []).append(method.name)
    for task in content.known.tasks.values():
        for paper in papers_in(task.paper, "tasks"):
            tasks.setdefault(paper, []).append(task.name)
    tables = _tables(content.published)
    uses = [
        PaperUse(
            paper,
            tuple(methods.get(paper, ())),
            tuple(tasks.get(paper, ())),
            tuple(tables.get(paper.cited, ())),
        )
        for paper in papers().values()
    ]
    return [use for use in uses if use.methods or use.tasks or use.tables]


def _tables(published: Iterable[Published]) -> dict[str, list[TablePlan]]:
    """Return the plans of the printed tables, by what their paper is cited as."""
    known = Known()
    plans: dict[str, list[TablePlan]] = {}
    for table in printed_tables(number for number in published if not number.is_imported):
        plans.setdefault(table.paper, []).append(plan_cells(table, StandIns(MODEL, MODEL), known))
    return plans


def _printed(name: str, uses: Iterable[PaperUse]) -> list[tuple[Paper, PrintedTable]]:
    """Return the tables that have numbers of a method."""
    found = []
    for use in uses:
        for planned in use.tables:
            methods = {number.method.partition(":")[0] for number in planned.table.numbers}
            if name in methods:
                found.append((use.paper, planned.table))
    return found


def _data(content: SiteContent) -> dict[str, bytes]:
    """Return the data files (`lists.DATA`)."""
    cells = to_rows(content.blocks)
    tables = bundle([run.record for run in content.stored], cells)
    files = {f"data/{name}": data for name, data in tables.items()}
    files["data/cells.json"] = (json.dumps(cells, indent=1, ensure_ascii=False) + "\n").encode()
    files["data/published.csv"] = _published_csv(content.published)
    return files


def _published_csv(numbers: Iterable[Published]) -> bytes:
    """Return published numbers in the columns of their own files."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in numbers:
        source = f"@{number.task_source}" if number.task_source else ""
        template = f"+{number.template}" if number.template else ""
        own = {"task": number.task + source + template, "K": number.k}
        writer.writerow([own.get(name, getattr(number, name, "")) for name in COLUMNS])
    return stream.getvalue().encode()


def _records(content: SiteContent) -> dict[str, bytes]:
    """Return the files of the records, which the board links to."""
    root = content.root.absolute()
    files = (run.file.absolute() for run in content.stored)
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}
