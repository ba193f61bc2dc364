"""Text put into HTML so that it cannot become markup: a value is escaped unless its type says that
it is markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from string import Template
from typing import Any

from fewbench.errors import steers, visible


class Markup(str):
    """Text that is HTML already. Made here and of the package's own files, never of what a user or
    record has named.
    """

    __slots__ = ()


def fill(template: str, **values: str) -> Markup:
    """Return a template with a value at each `$name`, escaped (quotes too) unless it is `Markup`.

    Raises:
        KeyError: the template has a name that is not given.
    """
    safe = {
        name: value if isinstance(value, Markup) else html.escape(visible(value))
        for name, value in values.items()
    }
    return Markup(Template(template).substitute(safe))


def json_block(value: Any) -> Markup:
    """Return JSON that may stand between <script> tags: no character in it can begin a tag, a
    comment or an entity.

    Raises:
        ValueError: a number that is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", ">", "&", *filter(steers, sorted({*text}))):
        text = text.replace(
            character,
            json.dumps(character)[1:-1] if character > "~" else f"\\u{ord(character):04x}",
        )
    return Markup(text)


def policy(style: str, script: str) -> str:
    """Return a content-security policy: this style and this script, images inside the page, and
    nothing else.

    Trusted types forbid the script to make markup of text, so a name stays text even if a sink
    slips in.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
