"""The page of a method: its declaration, its stored evidence, its citation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from fewbench.registry.papers import Paper
from fewbench.report.declarations import MethodDeclaration
from fewbench.report.evidence import Evidence
from fewbench.report.page.markup import Markup
from fewbench.report.published import shown_k
from fewbench.report.reproduce.tables import PrintedTable
from fewbench.report.site.html import code, joined, link, listing, pairs, prose, table, tag
from fewbench.report.site.shell import page


def method_path(name: str) -> str:
    """Return the path of a method's page within the site."""
    return f"methods/{name}.html"


def paper_path(paper: Paper) -> str:
    """Return the path of a paper's page within the site."""
    return f"papers/{paper.key}.html"


def method_page(
    method: MethodDeclaration,
    evidence: Sequence[Evidence],
    printed: Sequence[tuple[Paper, PrintedTable]],
    known: Iterable[str],
    site: str,
) -> bytes:
    """Return the page of a method.

    Args:
        method: its declaration.
        evidence: of its runs.
        printed: the papers' tables that have numbers of it.
        known: names of methods with pages.
        site: title of the site.
    """
    return page(
        method_path(method.name),
        method.name,
        site,
        tag("p", method.summary, class_="lead"),
        *map(prose, method.paragraphs),
        _facts(method, set(known)),
        *_use(method),
        *_evidence(method, evidence),
        *_printed(printed),
        *_citation(method),
    )


def _facts(method: MethodDeclaration, known: set[str]) -> Markup:
    """Return its papers, needs, tasks, models and file."""
    papers = (link(paper.reference, f"../{paper_path(paper)}") for paper in method.papers)
    teacher = method.teacher
    return pairs(
        [
            ("Cited as", method.citation),
            ("Papers", joined(papers, "; ")),
            ("Needs", ", ".join(method.needs)),
            ("Teacher by", link(teacher, f"{teacher}.html") if teacher in known else teacher),
            ("Tasks", ", ".join(method.kinds)),
            ("Models", ", ".join(method.backbones)),
            ("Groups", ", ".join(method.groups)),
            ("Pipelines", joined(map(code, method.pipelines), ", ")),
            ("Source", code(method.file)),
        ]
    )


def _use(method: MethodDeclaration) -> list[Markup]:
    """Return the command, the settings and the presets."""
    parts = [tag("h2", "How to run it"), listing(method.command, "Command")]
    if method.settings:
        rows = [
            (code(s.name), code(s.default), s.allowed, s.searched or "–") for s in method.settings
        ]
        header = ("setting", "default", "allowed", "searched on dev")
        parts += [tag("h2", "Settings"), table(f"Settings of {method.name}", header, rows)]
    if method.presets:
        presets = [(code(preset.typed), code(preset.settings)) for preset in method.presets]
        parts += [
            tag("h2", "Presets"),
            table(f"Presets of {method.name}", ("as --methods takes it", "stands for"), presets),
        ]
    return parts


def _evidence(method: MethodDeclaration, lines: Sequence[Evidence]) -> list[Markup]:
    """Return the stored results by task."""
    board = link("on the board", f"../index.html#view=method&method={quote(method.name)}")
    parts = [tag("h2", "Evidence")]
    if not lines:
        return [*parts, tag("p", "No run of it is stored here.")]
    header = ("task", "K", "protocol", "run as", "model", "score", "95 % interval", "n", "remarks")
    intro = joined(["Means over split seeds, in percent, by task; every run stands ", board, "."])
    rows = [_evidence_row(line) for line in lines]
    found = table(f"Stored results of {method.name}", header, rows, numeric=(1, 5, 6, 7))
    return [*parts, tag("p", intro), found]


def _evidence_row(line: Evidence) -> tuple[str, ...]:
    taught = joined([line.student, tag("small", f"taught by {line.teacher}")])
    task = joined([line.task, tag("small", line.metric)])
    has_interval = line.low is not None and line.high is not None
    interval = f"{line.low:.1f} to {line.high:.1f}" if has_interval else "–"
    return (
        task,
        str(shown_k(line.k)),
        line.protocol,
        code(line.typed),
        taught if line.teacher else line.student,
        _score(line.mean, line.std),
        interval,
        str(line.n),
        tag("span", "; ".join(line.remarks) or "–", class_="remarks"),
    )


def _score(mean: float | None, std: float | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"


def _printed(printed: Sequence[tuple[Paper, PrintedTable]]) -> list[Markup]:
    """Return links to the papers' tables that print numbers of it."""
    if not printed:
        return []
    items = [
        tag("li", link(f"{paper.reference}, Table {table.table}", _table_address(paper, table)))
        for paper, table in printed
    ]
    return [tag("h2", "Printed numbers"), tag("ul", *items)]


def _table_address(paper: Paper, printed: PrintedTable) -> str:
    return f"../{paper_path(paper)}#table-{quote(printed.table)}"


def _citation(method: MethodDeclaration) -> list[Markup]:
    if not method.papers:
        return []
    entries = "\n\n".join(paper.bibtex() for paper in method.papers)
    intro = joined([code(f"bench cite {method.name}"), " prints these, and the project's own."])
    return [tag("h2", "BibTeX"), tag("p", intro), listing(entries, "BibTeX")]
