"""Elements of HTML, whose text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fewbench.report.page.markup import Markup, escaped

_CODE = re.compile(r"`([^`]+)`")
_ITEM = re.compile(r"^- ", re.MULTILINE)


def tag(name: str, *children: str, **attributes: str) -> Markup:
    """Return an element; a trailing `_` of an attribute's name is dropped, `_` stands for `-`."""
    written = [
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
    ]
    return Markup(f"<{name}{''.join(written)}>{''.join(map(escaped, children))}</{name}>")


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Return parts one after another, with a text between them."""
    return Markup(escaped(between).join(map(escaped, parts)))


def link(text: str, href: str) -> Markup:
    """Return a link."""
    return tag("a", text, href=href)


def code(text: str) -> Markup:
    """Return a line of code."""
    return tag("code", text)


def listing(text: str, label: str) -> Markup:
    """Return lines of code, which may be scrolled; `label` names them for screen readers."""
    lines = joined(text.split("\n"), Markup("\n"))
    return tag("pre", code(lines), tabindex="0", role="region", aria_label=label)


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()
) -> Markup:
    """Return a table whose rows are named by their first cell.

    Args:
        caption: its title.
        header: of the columns.
        rows: their cells.
        numeric: places of columns that hold numbers.
    """
    heads = [_cell("th", text, place in numeric, scope="col") for place, text in enumerate(header)]
    lines = [tag("tr", *_row(row, numeric)) for row in rows]
    body = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *lines)
    )
    return tag("div", body, class_="scroll", role="region", aria_label=caption, tabindex="0")


def _row(row: Sequence[str], numeric: Sequence[int]) -> list[Markup]:
    first, *others = row
    cells = [_cell("td", text, place in numeric) for place, text in enumerate(others, 1)]
    return [tag("th", first, scope="row"), *cells]


def _cell(name: str, text: str, is_number: bool, **attributes: str) -> Markup:
    return tag(name, text, **attributes, **({"class_": "number"} if is_number else {}))


def pairs(rows: Iterable[tuple[str, str]]) -> Markup:
    """Return names with their values; those without a value are left out."""
    return tag("dl", *(tag("div", tag("dt", a), tag("dd", b)) for a, b in rows if b))


def prose(paragraph: str) -> Markup:
    """Return a paragraph of a docstring: lists that begin with `-`, and code between backticks."""
    if not paragraph.startswith("- "):
        return tag("p", _with_code(paragraph))
    items = (item for item in _ITEM.split(paragraph) if item)
    return tag("ul", *(tag("li", _with_code(item)) for item in items))


def _with_code(text: str) -> Markup:
    parts = _CODE.split(" ".join(text.split()))
    return joined(code(part) if place % 2 else part for place, part in enumerate(parts))
