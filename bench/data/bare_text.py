"""Reduce a text to its bare form: texts with equal bare forms tell a model the same.

Letters, digits, their diacritics, symbols and emoji are kept. Punctuation is removed, as it can
change without a change of meaning, except where it carries meaning of its own: decimal points,
operators and emoticons.
"""

from __future__ import annotations

import re
import unicodedata

_EMOJI = "[\u2190-\u2bff\U0001f000-\U0001faff]"
_MEANT = re.compile(
    "|".join(
        (
            r"[.,:](?<=\d.)(?=\d)",  # 3.5 is not 35
            r"\.(?<![\w.].)(?=\d)",  # .5
            r"[*/](?<=\w.)(?=\w)|[*/](?<=\w\s.)(?=\s\w)",  # 2*3, a / b; *this* is only emphasis
            r"-(?<=\d.)(?=\d)|-(?<=\d\s.)(?=\s\d)",  # 5-3
            r"-(?<![\w)-].)(?=\.?\d)",  # -1, and not covid-19
            r"-(?<=[=<>+^*/].)|-(?<=[=<>+^*/]\s.)|-(?=[=<>+])",  # y = -x, ->
            r"[!/:](?==)|[|](?=[|])",  # x != y, p || q
            r"[:;][-'^o]?[()\[\]/\\|*]",  # :) and ;-(
            r"[=8](?<!\w.)[-'^o]?[()\[\]]",  # =) and 8-)
            r"[()\[\]](?<!\S.)[-'^o]?[:;=](?!\S)",  # (: and ):
            rf"\u200d(?<={_EMOJI}.)(?={_EMOJI})",  # joins people into one family
            r"[#%&@]",  # C#, 50%, AT&T
        )
    )
)
_DASHES = [0x2212, *range(0x2010, 0x2016), 0xFE58, 0xFE63, 0xFF0D]
_SELECTORS = [
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
]  # they choose how a character is drawn
_ALIKE: dict[int, str | None] = (
    dict.fromkeys(_DASHES, "-") | dict.fromkeys(_SELECTORS) | {ord("´"): "'"}
)


class _Signs(dict[int, str]):
    """A table for `str.translate` of characters outside `_MEANT`, filled as they are looked up."""

    def __missing__(self, code: int) -> str:
        self[code] = _sign(chr(code))
        return self[code]


def _sign(character: str) -> str:
    kind = unicodedata.category(character)
    if kind[0] in "LNM":
        return character
    if kind == "Cf":  # invisible, except that tags choose the flag of an emoji
        return character if "\U000e0020" <= character <= "\U000e007f" else ""
    return " " if kind[0] in "PZ" or kind == "Cc" else f" {character} "


# These are symbols to Unicode, but serve as quotation marks and separators of words.
_SIGNS = _Signs(dict.fromkeys(map(ord, "`|~"), " "))


def bare(text: str) -> str:
    """Remove case, punctuation and extra spaces; keep the punctuation if nothing else is left.

    >>> bare("A good movie .") == bare("a good movie")
    True
    >>> bare("x > 3") == bare("x < 3") or bare("3.5") == bare("35") or bare("?") == bare("!")
    False
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_ALIKE))
    plain = text.casefold()
    pieces, end = [], 0
    for meant in _MEANT.finditer(plain):
        pieces += [plain[end : meant.start()].translate(_SIGNS), meant[0]]
        end = meant.end()
    pieces.append(plain[end:].translate(_SIGNS))
    return " ".join(" ".join(pieces).split()) or " ".join(plain.split())
