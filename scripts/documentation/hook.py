"""What mkdocs calls as it builds the site: pages that are made from declarations, and links.

The pages of methods, tasks, protocols and records are written from what the package declares, and
never committed. CONTRIBUTING.md and the README of the published numbers, which lie outside docs/,
become pages, and links to them are turned round.
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from markdown_text import Page, page, plain
from method_pages import method_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page as SitePage
from notebook_page import notebook_page
from protocol_page import protocol_page
from record_page import record_page
from task_pages import task_pages

PROJECT = Path(__file__).resolve().parents[2]
OUTSIDE = {
    "CONTRIBUTING.md": "contributing.md",
    "results/published/README.md": "published-numbers.md",
    "results/leaderboard.html": "leaderboard.html",
}
"""Files outside docs/ that are part of the site, and their addresses there."""

_LINK = re.compile(r"(?<=\]\()([^)\s#]+)")
_EMPTY_HEAD = re.compile(r"<th( [^>]*)?></th>")
_FENCED = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)

NavItem = Any
"""As mkdocs reads it: a path, or an object with one name whose value is a path or a list."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let mkdocstrings find the package `fewbench`, whose folder is called bench/ here."""
    folder = Path(tempfile.mkdtemp(prefix="fewbench-docs-"))
    (folder / "fewbench").symlink_to(PROJECT / "bench")
    handlers = config.plugins["mkdocstrings"].config["handlers"]
    handlers["python"]["paths"] = [str(folder)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and put them into the navigation."""
    docs = Path(config.docs_dir)
    made = list(_made(docs))
    for one in made:
        files.append(File.generated(config, one.path, content=one.text))
    board = str(PROJECT / "results" / "leaderboard.html")
    files.append(File.generated(config, OUTSIDE["results/leaderboard.html"], abs_src_path=board))
    known = sorted({file.src_uri for file in files.documentation_pages()})
    config.nav = _filled(config.nav or [], known)
    return files


def _made(docs: Path) -> Iterator[Page]:
    """Make every page that no file of docs/ holds."""
    yield from method_pages(PROJECT / "results")
    yield from task_pages(docs)
    yield protocol_page()
    yield record_page()
    yield notebook_page(docs / "example.ipynb")
    yield _decisions(docs / "decisions")
    for source, address in OUTSIDE.items():
        if source.endswith(".md"):
            yield Page(address, (PROJECT / source).read_text("utf-8"))


def _decisions(folder: Path) -> Page:
    """Return the list of decisions, by their titles."""
    lines = []
    for file in sorted(folder.glob("*.md")):
        title = file.read_text("utf-8").split("\n", 1)[0].removeprefix("# ")
        lines.append(f"- [{plain(title)}]({file.name})")
    introduction = "Why things are as they are: the problem, what was decided, what followed."
    return Page("decisions/index.md", page("# Decisions", introduction, "\n".join(lines)))


def _filled(nav: Iterable[NavItem], known: Iterable[str]) -> list[NavItem]:
    """Put the pages of a folder in the place of `generated: FOLDER`."""
    filled: list[NavItem] = []
    for item in nav:
        if not isinstance(item, dict):
            filled.append(item)
            continue
        ((name, inner),) = item.items()
        if name == "generated":
            filled += _of_folder(inner, known)
        else:
            filled.append({name: _filled(inner, known) if isinstance(inner, list) else inner})
    return filled


def _of_folder(folder: str, known: Iterable[str]) -> list[str]:
    return [
        path for path in known if path.startswith(f"{folder}/") and not path.endswith("/index.md")
    ]


def on_page_markdown(markdown: str, page: SitePage, **_: object) -> str:
    """Turn links to files outside docs/, and those of files from outside, to where pages are."""
    here = page.file.src_uri
    origins = {address: source for source, address in OUTSIDE.items()}
    origin = origins.get(here, f"docs/{here}")

    def turned(link: re.Match[str]) -> str:
        if ":" in link[0]:
            return link[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link[0]))
        address = OUTSIDE.get(target, os.path.relpath(target, "docs"))
        return posixpath.relpath(address, posixpath.dirname(here) or ".")

    parts = _FENCED.split(markdown)
    return "".join(part if _FENCED.fullmatch(part) else _LINK.sub(turned, part) for part in parts)


def on_post_page(output: str, **_: object) -> str:
    """Name the theme's search dialog, for who hears the page; an empty corner heads no column."""
    named = output.replace('role="dialog">', 'role="dialog" aria-label="Search">', 1)
    return _EMPTY_HEAD.sub(r"<td\1></td>", named)
