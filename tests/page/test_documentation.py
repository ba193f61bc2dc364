"""The documentation site: built without a warning, its links lead somewhere, and it opens from disk."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest
from conftest import PROJECT
from page_browser import browser  # noqa: F401

from fewbench.registry.methods import methods, task_files
from fewbench.registry.protocols import protocols

NEEDED = ("mkdocs", "material", "mkdocstrings")
APART = ("leaderboard.html", "404.html")
"""The committed board, which links to the records beside it; and a page whose links are a server's."""

LOADED = {"img": "src", "script": "src", "iframe": "src", "link": "href"}
"""What a browser fetches by itself, by tag."""


class Seen(NamedTuple):
    """What a page has: its anchors, links, and what it loads."""

    anchors: set[str]
    links: list[str]
    loaded: list[str]


class Reader(HTMLParser):
    """Collects them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen(set(), [], [])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.seen.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.seen.links.append(values["href"])
        if values.get(LOADED.get(tag, "")) and values.get("rel") not in ("canonical", "next"):
            self.seen.loaded.append(values[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site: that of SITE, or one built here."""
    if "SITE" in os.environ:
        return Path(os.environ["SITE"])
    if not all(map(importlib.util.find_spec, NEEDED)):
        pytest.skip("needs mkdocs-material and mkdocstrings: pip install 'fewbench[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Seen]:
    found = {}
    for file in sorted(site.rglob("*.html")):
        if file.name not in APART:
            reader = Reader()
            reader.feed(file.read_text("utf-8"))
            found[file] = reader.seen
    return found


def within(seen: Seen) -> Iterator[str]:
    """Yield the addresses that are of the site itself."""
    for address in [*seen.links, *seen.loaded]:
        if not re.match(r"[a-z]+:", address):
            yield unquote(address)


def test_every_link_leads_to_a_page_and_to_a_place_on_it(pages):
    checked, broken = 0, []
    for file, seen in pages.items():
        for address in within(seen):
            path, _, anchor = address.partition("#")
            target = (file.parent / path).resolve() if path else file
            here = pages.get(target)
            found = target.is_file() and (not anchor or here is None or anchor in here.anchors)
            broken += [] if found else [f"{file.name}: {address}"]
            checked += 1
    assert broken == []
    assert checked > 5_000
    print(f"{len(pages)} pages, {checked} links")


def test_nothing_is_loaded_from_elsewhere(site, pages):
    loaded = {address for seen in pages.values() for address in seen.loaded}
    assert not [address for address in loaded if re.match("(https?:)?//", address)]
    for file in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", file.read_text("utf-8")), file


def test_links_to_elsewhere_are_safe(pages):
    links = {link for seen in pages.values() for link in seen.links if re.match(r"[a-z]+:", link)}
    assert not [link for link in links if not link.startswith("https://")]


def test_every_method_and_task_has_a_page_and_every_protocol_a_place(site, pages):
    from fewbench.data.task_file import declared

    known = declared(task_files())
    names = [f"methods/{name}" for name in methods()]
    names += [f"tasks/{name}" for name in (*known.tasks, *known.facts)]
    assert not [name for name in names if site / f"{name}.html" not in pages]
    assert pages[site / "protocols.html"].anchors >= {*protocols()}


def test_a_methods_page_has_its_declarations_and_evidence(site):
    text = (site / "methods" / "pkd.html").read_text("utf-8")
    said = ("Patient KD", "https://arxiv.org/abs/1908.09355", "beta", "pkd:last", "Evidence")
    assert not [part for part in said if part not in text]


def test_a_tasks_page_has_source_licence_splits_and_prompt(site):
    text = (site / "tasks" / "rte.html").read_text("utf-8")
    said = ("Licence", "RTE", "Label words", "Splits and leaks", "{mask}", "test rows")
    assert not [part for part in said if part.lower() not in text.lower()]


def test_it_is_searched_from_disk_without_a_network(browser, site):  # noqa: F811
    context = browser.new_context(offline=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((site / "index.html").as_uri())
    page.locator("input.md-search__input").click()
    page.wait_for_function("typeof __index == 'object'")
    page.locator("input.md-search__input").press_sequentially("patient", delay=100)
    page.locator(".md-search-result__link").first.wait_for(timeout=20_000)
    assert "pkd" in page.locator(".md-search-result__list").inner_text()
    assert said == []
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_are_no_wider_than_the_screen(browser, site, width):  # noqa: F811
    context = browser.new_context(offline=True, viewport={"width": width, "height": 800})
    page = context.new_page()
    for name in ("index", "methods/prompt-ft", "tasks/sst-2", "protocols", "api", "compression"):
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    context.close()


def test_the_search_dialog_has_a_name(site):
    for name in ("index.html", "methods/pkd.html"):
        assert 'role="dialog" aria-label="Search"' in (site / name).read_text("utf-8")
