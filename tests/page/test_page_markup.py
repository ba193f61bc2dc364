"""Text cannot become markup: escaping, JSON between script tags, and the policy's hashes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from page_records import HOSTILE

from fewbench.errors import visible
from fewbench.report.page.markup import Markup, fill, json_block, policy
from fewbench.report.page.write import HERE, SCRIPTS, to_html

VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """Collects elements and their texts, and refuses tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in {tag}"
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]][-1] += data


@pytest.mark.parametrize("text", HOSTILE)
def test_values_of_a_template_are_escaped_and_not_read_as_templates(text):
    page = fill('<p title="$a">$a</p><b>$b</b>', a=text, b=Markup("<i>x</i>"))
    parsed = Page(page)
    assert parsed.texts["p"] == [visible(text)]
    assert parsed.found == [("p", {"title": visible(text)}), ("b", {}), ("i", {})]


def test_a_template_with_a_name_that_is_not_given_is_refused():
    with pytest.raises(KeyError):
        fill("$a $b", a="x")


def test_json_between_script_tags_holds_no_markup_and_reads_back():
    value = {"names": [*HOSTILE, "\u2028\u2029", "中文"], "numbers": [1.5, None]}
    block = json_block(value)
    assert not set("<>&\u2028\u2029") & set(block)
    assert "中文" in block
    assert json.loads(block) == value


def test_json_holds_names_that_are_no_unicode():
    assert json.loads(json_block(["a\udc80"])) == ["a\udc80"]
    json_block(["a\udc80"]).encode("utf-8")


def test_json_refuses_what_javascript_could_not_read():
    with pytest.raises(ValueError, match="JSON"):
        json_block([float("nan")])


@pytest.mark.parametrize("title", HOSTILE)
def test_the_page_is_well_formed_whatever_it_is_called(title):
    parsed = Page(to_html({"x": title}, title))
    assert parsed.texts["title"] == parsed.texts["h1"] == [visible(title)]
    ids = [attributes["id"] for _, attributes in parsed.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in parsed.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        links = [attributes.get(name) for name in ("src", "href") if name in attributes]
        assert all(link.startswith(("#", "data:,")) for link in links), tag
    for name in ("aria-labelledby", "aria-controls"):
        assert {a[name] for _, a in parsed.found if name in a} <= set(ids)


def test_the_policy_names_the_hashes_of_the_style_and_script_that_stand_in_the_page():
    parsed = Page(to_html({"x": 1}, "t"))
    policies = [
        a["content"] for tag, a in parsed.found if a.get("http-equiv") == "Content-Security-Policy"
    ]
    stated = dict(part.split(" ", 1) for part in policies[0].split("; "))
    module = parsed.texts["script"][1]
    for name, text in (("script-src", module), ("style-src", parsed.texts["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert stated[name] == f"'sha256-{digest}'"
    assert stated["default-src"] == "'none'"
    assert "unsafe" not in policies[0] and "http" not in policies[0]
    assert policy("a", "b") != policy("a", "c")


def test_the_policy_stands_before_anything_it_governs():
    tags = [a.get("http-equiv", tag) for tag, a in Page(to_html({}, "t")).found]
    assert tags.index("Content-Security-Policy") < min(
        tags.index(tag) for tag in ("style", "script", "link")
    )


def test_no_script_makes_markup_or_code_of_text_or_asks_the_network():
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write"
    sinks = markup + r"|\beval\b|new Function|fetch\(|XMLHttp|import\("
    assert {file.name for file in HERE.glob("*.js")} == set(SCRIPTS)
    for name in SCRIPTS:
        text = (HERE / name).read_text("utf-8")
        assert not re.search(sinks, text)
        assert not re.search(r"</script|<!--", text, re.I)
