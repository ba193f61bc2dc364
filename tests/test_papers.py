"""Every citation resolves: to an entry of docs/papers.md, and to no file that a reader does not
have.
"""

from __future__ import annotations

import re

import pytest
from conftest import PROJECT

SURNAME = r"(?:de )?[A-Z][a-zé-]+"
OTHERS = r"(?:(?:, [A-Z][a-z-]+)*,? and [A-Z][a-zA-Z]+|, [A-Z][a-z]+ et al\.| et al\.)?"
CITED = re.compile(rf"({SURNAME}{OTHERS}),? \(?((?:19|20)\d\d)\b")
"""A surname or several, and a year: `Sun et al., 2019`, `Pang and Lee (2005)`."""

NO_PAPER = {
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
}
NO_PAPER |= {"November", "December", "Copyright", "Unicode", "In", "Since", "Of", "The"}
GONE = re.compile(
    r"\b(smash|ppt|prompt-distiller|thesis|protocols|systems|house|architecture)\.md\b"
)


def sources():
    for folder, pattern in (
        ("bench", "*.py"),
        ("methods", "*.py"),
        ("plots", "*.py"),
        ("tasks", "*.toml"),
    ):
        yield from sorted((PROJECT / folder).rglob(pattern))
    yield from (
        PROJECT / "README.md",
        PROJECT / "docs/commands.md",
        PROJECT / "docs/methods.md",
        PROJECT / "CONTRIBUTING.md",
        PROJECT / "bench/registry/protocols.toml",
    )


def entries():
    lines = (PROJECT / "docs" / "papers.md").read_text("utf-8").splitlines()
    rows = [
        line
        for line in lines
        if line.startswith("| ") and not line.startswith(("| cited", "| ---"))
    ]
    return [[part.strip() for part in line.strip("|").split("|")] for line in rows]


@pytest.mark.parametrize("file", [*sources()], ids=lambda file: str(file.relative_to(PROJECT)))
def test_citations_resolve(file):
    known = [(cited, authors, venue) for cited, authors, _, venue, _ in entries()]
    text = re.sub(r"\s*\n\s*#?\s*", " ", file.read_text("utf-8"))
    assert not GONE.search(text)
    for names, year in CITED.findall(text):
        first = re.split(r",| and | et ", names)[0].removeprefix("de ").strip()
        if first in NO_PAPER:
            continue
        found = [
            cited
            for cited, authors, venue in known
            if first in cited + authors and year in cited + venue
        ]
        assert found, f"{names}, {year} stands in no line of docs/papers.md"


def test_entries_are_whole_and_there_once():
    names = [cited for cited, *_ in entries()]
    assert len(names) > 60
    assert len(set(names)) == len(names)
    for cited, authors, title, venue, address in entries():
        assert authors and title, cited
        assert re.search(r"(19|20)\d\d$", venue), cited
        assert re.fullmatch(r"(https://\S+)?", address), cited
