"""Every citation resolves: to an entry of docs/papers.md, and to no file that a reader does not
have.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import PROJECT

from fewbench.data.task_file import declared
from fewbench.registry.methods import methods, task_files
from fewbench.registry.papers import papers, papers_in

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


def test_the_document_is_written_from_the_registry():
    command = [sys.executable, "-c", "import write_papers; print(write_papers.text(), end='')"]
    made = subprocess.run(
        command, cwd=PROJECT / "scripts", capture_output=True, check=True, encoding="utf-8"
    )
    assert (PROJECT / "docs" / "papers.md").read_text("utf-8") == made.stdout


@pytest.mark.parametrize(
    ("citation", "group", "keys"),
    [
        ("Hinton, Vinyals and Dean, 2015; thesis section 5.2.1", "methods", "hinton2015 xu2024"),
        ("Xu et al., 2020 (BERT-of-Theseus); thesis sections 4.4", "methods", "xu2020bert xu2024"),
        ("Hou et al., 2023 (Prompt-Distiller); prompt-distiller", "methods", "hou2023"),
        ("Xu et al., 2020; Xu et al., 2021", "tasks", "xu2020clue xu2021fewclue"),
        ("De Marneffe, Simons and Tonhauser, 2019", "tasks", "demarneffe2019"),
        (
            "Petroni et al., 2019; facts from Elsahar et al., 2018",
            "tasks",
            "petroni2019 elsahar2018",
        ),
        ("none: written for this project", "tasks", ""),
    ],
)
def test_a_citation_names_its_papers(citation, group, keys):
    found = [paper.key for paper in papers_in(citation, group)]
    wanted = keys.split()
    assert len(found) == len(wanted)
    assert all(key.startswith(start) for key, start in zip(found, wanted, strict=True))


def test_every_method_and_task_has_its_papers():
    for method in methods().values():
        assert papers_in(method.paper), method.name
    known = declared(task_files())
    for task in [*known.tasks.values(), *known.facts.values()]:
        assert papers_in(task.paper, "tasks") or task.paper.startswith("none: "), task.name


def test_bibtex_is_whole():
    for paper in papers().values():
        text = paper.bibtex()
        assert text.startswith(f"@{paper.kind}{{{paper.key},\n")
        assert text.count("{") == text.count("}")
        assert all(f" {name}" in text for name in ("title", "author", "year")), paper.key
        assert re.fullmatch("[a-z0-9]+", paper.key)
    assert (
        papers()["gao2021making"].bibtex()
        == """\
@inproceedings{gao2021making,
  title         = {{Making Pre-trained Language Models Better Few-shot Learners}},
  author        = {Gao, Tianyu and Fisch, Adam and Chen, Danqi},
  booktitle     = {ACL},
  year          = {2021},
  eprint        = {2012.15723},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2012.15723},
}"""
    )
