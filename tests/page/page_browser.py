"""A browser, and the usual page to show in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_records import data_of, usual

from fewbench.report.page.write import save, to_html

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium: the system's, or else playwright's own."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install 'fewbench[pages]'"
    )
    with sync_api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        program = next(
            filter(None, map(shutil.which, PROGRAMS)), own if Path(own).exists() else None
        )
        if program is None:
            pytest.skip(
                "needs a Chromium: apt-get install chromium, or playwright install chromium"
            )
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a file without network; in the end there was no request and the console is empty."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []
    opened = set()

    def open_page(file: Path, address: str = "", **options: Any) -> Any:
        context = browser.new_context(
            offline=True, **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url.partition("#")[0]))
        opened.add(file.as_uri())
        page.goto(file.as_uri() + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert set(asked) <= opened


@pytest.fixture(scope="module")
def usual_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = usual(tmp_path_factory.mktemp("results"))
    save(to_html(data_of(root), "Leaderboard"), root / "page.html")
    return root / "page.html"
