"""The page on a phone, in the dark, by keyboard and for screen readers, in a real browser."""

from __future__ import annotations

import pytest
from page_browser import browser, show, usual_page  # noqa: F401

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install 'fewbench[pages]'"
)
expect = sync_api.expect

VIEWS = ("", "#view=methods", "#view=method&method=ft", "#view=about", "#sort=sst-2@lm-bff")


@pytest.mark.parametrize("address", VIEWS)
@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_the_page_does_not_scroll_sideways(show, usual_page, address, width):
    page = show(
        usual_page,
        address,
        viewport={"width": width, "height": 800},
        is_mobile=True,
        device_scale_factor=2,
    )
    for button in page.locator("#runs tbody button").all()[:1]:
        button.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("innerWidth") == width
    sizes = page.locator("nav a, [role=tab], select, input[type=search]").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).filter(r => r.width).map(r => r.height)"
    )
    assert min(sizes) >= 24  # WCAG 2.2, target size


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
@pytest.mark.parametrize("address", VIEWS)
def test_text_has_the_contrast_of_wcag_aa(show, usual_page, address, scheme):
    page = show(usual_page, address, color_scheme=scheme)
    for button in page.locator("#runs tbody button").all()[-1:]:
        button.click()
    assert page.evaluate(CONTRASTS) == []


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
    for wanted in ("suite-0", "k", "protocol", "filter", "published", "sst-2", "figure-task"):
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


@pytest.mark.parametrize("address", VIEWS)
def test_tables_controls_and_figures_are_named_for_screen_readers(show, usual_page, address):
    page = show(usual_page, address)
    assert page.evaluate(NAMELESS) == []
    assert page.locator("th:not([scope])").count() == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
