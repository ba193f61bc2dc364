"""The page on a phone, in the dark, by keyboard and for screen readers, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from page_browser import browser, show, usual_page  # noqa: F401

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install 'fewbench[pages]'"
)
expect = sync_api.expect

SCORE = quote("\n".join(["ft", "tiny", "", "sst-2@lm-bff"]))
VIEWS = (
    "",
    "#view=published",
    "#view=methods",
    "#view=method&method=ft",
    "#view=about",
    "#tasks=all&columns=statistics+cost&sort=sst-2@lm-bff",
    f"#cell={SCORE}",
)


def views(page: Any) -> Iterator[str]:
    """Go to each view of a page in turn."""
    for address in VIEWS:
        page.evaluate("address => { location.hash = address }", address)
        page.evaluate("new Promise((done) => setTimeout(done))")
        yield address


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_the_page_does_not_scroll_sideways(show, usual_page, width):
    viewport = {"width": width, "height": 800}
    page = show(usual_page, viewport=viewport, is_mobile=True, device_scale_factor=2)
    for address in views(page):
        for button in page.locator("#runs tbody button:visible").all()[:1]:
            button.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert page.evaluate("innerWidth") == width, address
        sizes = page.locator("nav a, button, select, input[type=search]").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect()).filter(r => r.width).map(r => r.height)"
        )
        assert min(sizes) >= 24, address  # WCAG 2.2, target size


CONTRASTS = """() => {
  const parts = (c) => c.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (c) => {
    const [r, g, b] = parts(c).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (parts(c)[3] !== 0) return c;
    }
    return "rgb(255, 255, 255)";
  };
  const unread = "noscript, script, option, .skip, :disabled";
  const low = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility() || e.closest(unread)) continue;
    const [style, drawn] = [getComputedStyle(e), e.namespaceURI.endsWith("svg")];
    if (drawn && e.tagName !== "text") continue;
    const lights = [light(drawn ? style.fill : style.color), light(ground(e))];
    const [a, b] = lights.sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) low.push([e.tagName, e.textContent.slice(0, 30), contrast]);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(show, usual_page, scheme):
    page = show(usual_page, color_scheme=scheme)
    for address in views(page):
        for button in page.locator("#runs tbody button:visible").all()[-1:]:
            button.click()
        assert page.evaluate(CONTRASTS) == [], address


def test_dark_mode_follows_the_system(show, usual_page):
    ground = {
        scheme: show(usual_page, color_scheme=scheme).evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    }
    assert (
        sum(map(int, ground["light"][4:-1].split(",")))
        > 600
        > 200
        > sum(map(int, ground["dark"][4:-1].split(",")))
    )


def test_the_keyboard_reaches_everything_and_shows_where_it_is(show, usual_page):
    page = show(usual_page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "[document.activeElement].map(e => "
            "[e.tagName, e.id || e.textContent, getComputedStyle(e).outlineWidth])[0]"
        )
        if found[0] == "BODY":
            break
        reached.append(found)
    assert all(width == "3px" for *_, width in reached), reached
    names = [name for _, name, _ in reached]
    for wanted in ("suite-0", "cost", "k", "protocol", "filter", "show-statistics", "sst-2"):
        assert wanted in names


NAMELESS = """() => {
  const named = (e) => {
    const ids = (e.getAttribute("aria-labelledby") ?? "").split(" ");
    const by = ids.map((id) => document.getElementById(id));
    return by.some((label) => label?.textContent) || e.getAttribute("aria-label")
      || e.labels?.length || e.caption?.textContent
      || e.closest("table, [role=region]") !== e && e.textContent
      || e.tagName === "TABLE" && named(e.closest("[role=region]"));
  };
  const kinds = "button, select, input, a, [role=img], [role=region], table";
  const visible = [...document.querySelectorAll(kinds)].filter((e) => e.checkVisibility());
  return visible.filter((e) => !named(e)).map((e) => e.outerHTML.slice(0, 80));
}"""


def test_tables_controls_and_figures_are_named_for_screen_readers(show, usual_page):
    page = show(usual_page)
    for address in views(page):
        assert page.evaluate(NAMELESS) == [], address
        assert page.locator("th:not([scope])").count() == 0
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("width, scheme", [(390, "dark"), (1280, "light"), (1920, "dark")])
def test_axe_finds_nothing(show, usual_page, width, scheme):
    script = Path(os.environ.get("AXE_SCRIPT", ""))
    if not script.is_file():
        pytest.skip("needs axe: npm install axe-core, and AXE_SCRIPT=…/axe-core/axe.min.js")
    viewport = {"width": width, "height": 900}
    page = show(usual_page, viewport=viewport, bypass_csp=True, color_scheme=scheme)
    page.evaluate(script.read_text("utf-8"))
    for address in views(page):
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        broken = [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]]
        assert broken == [], address


def test_a_phone_shows_a_card_for_each_method(show, usual_page):
    page = show(usual_page, viewport={"width": 390, "height": 844}, is_mobile=True)
    cards = page.locator("#cards article")
    assert cards.locator("h3").all_inner_texts() == ["prompt-ft", "ft"]
    expect(cards.first).to_contain_text("81.0")
    expect(page.locator("#board")).to_be_hidden()
    filters = page.get_by_role("combobox", name="K, examples a label")
    expect(filters).to_be_hidden()
    page.get_by_text("Filters and columns").click()
    expect(filters).to_be_visible()
    order = page.locator("#cards, #scaling").evaluate_all("all => all.map(one => one.id)")
    assert order == ["cards", "scaling"]
    cards.first.get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
