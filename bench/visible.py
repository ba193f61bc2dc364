"""Text from elsewhere, made safe to show: what would steer a terminal or reorder a line becomes a visible escape.

Names, errors and texts in records, task files, corpora and file names may be anybody's. Every way out calls this.
"""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"
"""Format characters that words of some scripts, and emoji, are spelt with."""

_STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Categories of Unicode: control, format (direction among it), lone surrogates, separators of lines and paragraphs."""


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return a text in which control and format characters are written out: `\x1b`, `\u202e`.

    Args:
        text: any, of one line or several.
        lines: leave ends of lines (`\n`) as they are.
    """
    if text.isprintable():
        return text
    return "".join(_shown(letter) if steers(letter) and not (lines and letter == "\n") else letter for letter in text)


def steers(letter: str) -> bool:
    """Whether a character is not shown but changes what is: controls, direction marks, lone surrogates."""
    return unicodedata.category(letter) in _STEERING and letter not in JOINERS


LONGEST = 100
"""Characters that a message repeats at most of what was typed."""


def shortened(text: str) -> str:
    """Return a text as a message repeats it: its beginning, where it is long."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _shown(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
