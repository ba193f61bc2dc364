"""Write docs/papers.md from the papers of the registry (`bench/registry/papers.toml`)."""

from __future__ import annotations

from pathlib import Path

from fewbench.registry.papers import Paper, PaperGroup, papers

FILE = Path(__file__).parent.parent / "docs" / "papers.md"

TITLES: dict[PaperGroup, str] = {
    "systems": "The four papers whose systems are implemented",
    "methods": "Methods and models",
    "tasks": "Tasks and data",
    "measures": "Attacks, metrics and statistics",
}

HEAD = """\
# Papers

Every paper that code, tasks and documents cite, by the name they cite it under. The first four are cited by a key of one
word. An address is left out where a paper has none that is free to read or we could not check it. `bench cite METHOD`
prints the BibTeX of a method's papers. Written from `bench/registry/papers.toml` by `python scripts/write_papers.py`.
"""

COLUMNS = """\
| cited as | authors | title | venue and year | address |
| --- | --- | --- | --- | --- |
"""


def text() -> str:
    sections = [_section(group, title) for group, title in TITLES.items()]
    return "\n".join([HEAD, *sections])


def _section(group: PaperGroup, title: str) -> str:
    rows = [_row(paper) for paper in papers().values() if paper.group == group]
    return f"## {title}\n\n{COLUMNS}{''.join(rows)}"


def _row(paper: Paper) -> str:
    cells = paper.cited, paper.author_text, paper.full_title, paper.venue_text, paper.address
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
