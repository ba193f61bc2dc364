"""Safe HTML: a value is escaped unless its type is `Markup`."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from string import Template

from fewbench.errors import steers, visible


class Markup(str):
    """Text that is already HTML.

    It is made here and from the package's own files, never from names in records or options.
    """

    __slots__ = ()


def fill(template: str, **values: str) -> Markup:
    """Replace each `$name` of a template by its value, escaped (quotes too) unless it is `Markup`.

    Raises:
        KeyError: the template has a name without a value.
    """
    safe = {name: escaped(value) for name, value in values.items()}
    return Markup(Template(template).substitute(safe))


def json_block(value: object) -> Markup:
    """Return JSON that is safe between <script> tags.

    No character in it can begin a tag, a comment or an entity.

    Raises:
        ValueError: a number that is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", ">", "&", *filter(steers, sorted({*text}))):
        text = text.replace(character, _json_escape(character))
    return Markup(text)


def policy(style: str, script: str | None = None) -> str:
    """Return a content-security policy: this style, this script, and images inside the page.

    Trusted types forbid the script to make markup of text, so a name stays text even where a script
    writes it carelessly.
    """
    rules = ["default-src 'none'", f"style-src '{_digest(style)}'", "img-src data:"]
    rules += ["base-uri 'none'", "form-action 'none'"]
    if script is not None:
        rules.append(f"script-src '{_digest(script)}'")
        rules += ["require-trusted-types-for 'script'", "trusted-types 'none'"]
    return "; ".join(rules)


def escaped(value: str) -> str:
    """Return a value as HTML; `Markup` is that already."""
    return value if isinstance(value, Markup) else html.escape(visible(value))


def _json_escape(character: str) -> str:
    if character > "~":
        return json.dumps(character)[1:-1]
    return f"\\u{ord(character):04x}"


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
