"""The papers that methods and tasks are of (`papers.toml`), and their BibTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from fewbench.io import toml
from fewbench.io.toml import TomlTable

FILE = Path(__file__).parent / "papers.toml"

PaperKind = Literal["inproceedings", "article", "phdthesis", "book", "misc", "unpublished"]
"""The entry type of BibTeX."""

PaperGroup = Literal["systems", "methods", "tasks", "measures"]

_VENUES: dict[str, str] = {
    "inproceedings": "booktitle",
    "article": "journal",
    "phdthesis": "school",
    "book": "publisher",
    "misc": "howpublished",
    "unpublished": "note",
}
"""The BibTeX field that names the venue, by entry type."""

_KEYS = re.compile(r"(?<![\w-])(smash|ppt|prompt-distiller|thesis)(?![\w-])")
"""Papers that are cited by a key of one word."""

_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_SPECIAL = re.compile(r"[&%#_$]")


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper.

    `key` is its BibTeX key, `cited` the name it goes by in this project, `authors` are "Surname,
    Given" (or the surname alone; "others" for those left out), `short` is what its system or data
    set is called, `address` is empty where it has none that is free to read.
    """

    key: str
    group: PaperGroup
    cited: str
    kind: PaperKind
    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    short: str = ""
    address: str = ""
    note: str = ""

    @property
    def surnames(self) -> tuple[str, ...]:
        """The surnames of its authors."""
        return tuple(author.partition(",")[0] for author in self.authors)

    @property
    def author_text(self) -> str:
        """Its authors' surnames in words: `Gao, Fisch and Chen`."""
        *most, last = self.surnames
        return f"{', '.join(most)} and {last}" if most else last

    @property
    def reference(self) -> str:
        """Its short name and authors: `PPT (Gu et al., 2022)`."""
        name, colon, _ = self.title.partition(":")
        called = self.short or (name if colon else self.title)
        is_long = len(self.authors) > 2 or self.surnames[-1] == "others"
        by = f"{self.surnames[0]} et al." if is_long else self.author_text
        return f"{called} ({by}, {self.year})"

    @property
    def full_title(self) -> str:
        """Its title, with what its system is called."""
        return f"{self.title} ({self.short})" if self.short else self.title

    @property
    def venue_text(self) -> str:
        """Its venue and year, in words."""
        venue = f"{self.venue}; {self.note}" if self.note else self.venue
        return f"{venue}, {self.year}"

    def bibtex(self) -> str:
        """Return its BibTeX entry."""
        fields = {
            "title": f"{{{_escaped(self.title)}}}",
            "author": " and ".join(map(_escaped, self.authors)),
            _VENUES[self.kind]: _escaped(self.venue.removeprefix("dissertation, ")),
            "year": str(self.year),
        }
        _, is_arxiv, number = self.address.partition("https://arxiv.org/abs/")
        if is_arxiv:
            fields |= {"eprint": number, "archivePrefix": "arXiv"}
        if self.address:
            fields["url"] = self.address
        return entry(self.kind, self.key, fields)


def entry(kind: str, key: str, fields: dict[str, str]) -> str:
    """Write a BibTeX entry; the values are BibTeX already."""
    width = max(map(len, fields))
    lines = [f"  {name:<{width}} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


@lru_cache
def papers() -> dict[str, Paper]:
    """Return every paper by its BibTeX key, in the order of the file."""
    return {key: _read(key, content) for key, content in toml.load(FILE).items()}


def _read(key: str, content: object) -> Paper:
    table = TomlTable(FILE, key, content)
    kind, group = table.take("kind", str), table.take("group", str)
    for name, value, known in (("kind", kind, PaperKind), ("group", group, PaperGroup)):
        if value not in get_args(known):
            raise table.error(name, f"'{name}' is '{value}'", allowed=get_args(known))
    paper = Paper(
        key=key,
        group=group,
        cited=table.take("cited", str),
        kind=kind,
        authors=tuple(table.take("authors", str).split(" and ")),
        title=table.take("title", str),
        venue=table.take("venue", str),
        year=table.positive("year"),
        short=table.take("short", str, ""),
        address=table.take("address", str, ""),
        note=table.take("note", str, ""),
    )
    table.finish()
    return paper


def papers_in(citation: str, group: PaperGroup = "methods") -> list[Paper]:
    """Return the papers that a citation names, each once, in its order.

    Args:
        citation: what a method or task declares: `Hinton et al., 2015; thesis, section 4.2`.
        group: where the paper stands if the same surname and year stand in several.
    """
    found: dict[str, Paper] = {}
    for part in citation.split(";"):
        keys = _KEYS.findall(part)
        cited = [paper for paper in papers().values() if paper.cited in keys]
        for paper in cited or _by_authors(part, group):
            found[paper.key] = paper
    return list(found.values())


def _by_authors(part: str, group: PaperGroup) -> list[Paper]:
    """Return the paper of the surnames and the year in a part of a citation, if there is one."""

    def likeness(paper: Paper) -> tuple[bool, bool, bool, int]:
        named = sum(surname in part for surname in paper.surnames)
        is_called = bool(paper.short) and paper.short in part
        return is_called, paper.group == group, paper.cited in part, named

    years = {int(year) for year in _YEAR.findall(part)}
    dated = [paper for paper in papers().values() if paper.year in years]
    fitting = [paper for paper in dated if _is_first(paper.surnames[0], part)]
    return [max(fitting, key=likeness)] if fitting else []


def _is_first(surname: str, part: str) -> bool:
    """True if a surname is the first name of a citation; words such as `facts from` may precede."""
    found = re.search(rf"(?<!\w){re.escape(surname)}\b", part, re.IGNORECASE)
    return found is not None and not re.search(r"[A-Z]", part[: found.start()])
