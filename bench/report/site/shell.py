"""The frame of the site's pages: head, navigation and style."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from fewbench.report.page.markup import Markup, fill
from fewbench.report.page.write import base_style, head
from fewbench.report.site.html import link, tag

HERE = Path(__file__).parent

SECTIONS = {
    "index.html": "Leaderboard",
    "methods/index.html": "Methods",
    "papers/index.html": "Papers",
    "contents.html": "All pages and data",
}
"""The pages that every page links to."""


def page(path: str, title: str, site: str, *content: str) -> bytes:
    """Return a page.

    Args:
        path: of the page within the site, which its links to others depend on.
        title: of the page.
        site: title of the site.
        content: Markup after the heading.
    """
    style = Markup(base_style() + (HERE / "site.css").read_text("utf-8"))
    filled = fill(
        (HERE / "site.html").read_text("utf-8"),
        head=head(f"{title} – {site}", style),
        title=title,
        site=site,
        nav=navigation(path),
        content=Markup("\n".join(content)),
        version=version("fewbench"),
    )
    return filled.encode("utf-8")


def navigation(path: str) -> Markup:
    """Return the links from a page to the sections of the site."""
    links = []
    for section, title in SECTIONS.items():
        is_here = section == path
        address = up(path) + section
        links.append(
            tag("a", title, href=address, aria_current="page") if is_here else link(title, address)
        )
    return Markup("\n".join(links))


def up(path: str) -> str:
    """Return the way from a page to the root of the site: nothing, or `../`."""
    return "../" * path.count("/")
