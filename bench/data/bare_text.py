"""What a text says, bare of how it is written: two texts whose bare forms are one tell a model the
same.

Letters, digits, the marks on them, symbols and emoji stay. Punctuation goes, as it may be set in
another way without another meaning, but for what is more than a sentence's: points within numbers,
operators, and faces.
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
            r"[*/](?<=\w.)(?=\w)|[*/](?<=\w\s.)(?=\s\w)",  # 2*3, a / b; *this* is only stressed
            r"-(?<=\d.)(?=\d)|-(?<=\d\s.)(?=\s\d)",  # 5-3
            r"-(?<![\w)-].)(?=\.?\d)",  # -1, and not covid-19
            r"-(?<=[=<>+^*/].)|-(?<=[=<>+^*/]\s.)|-(?=[=<>+])",  # y = -x, ->
            r"[!/:](?==)|[|](?=[|])",  # x != y, p || q
            r"[:;][-'^o]?[()\[\]/\\|*]",  # :) and ;-(
            r"[=8](?<!\w.)[-'^o]?[()\[\]]",  # =) and 8-)
            r"[()\[\]](?<!\S.)[-'^o]?[:;=](?!\S)",  # (: and ):
            rf"\u200d(?<={_EMOJI}.)(?={_EMOJI})",  # a family is not three persons
            r"[#%&@]",  # C#, 50%, AT&T
        )
    )
)
_DASHES = [0x2212, *range(0x2010, 0x2016), 0xFE58, 0xFE63, 0xFF0D]
_SELECTORS = [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]  # they choose how a sign is drawn
_ALIKE: dict[int, str | None] = (
    dict.fromkeys(_DASHES, "-") | dict.fromkeys(_SELECTORS) | {ord("´"): "'"}
)


class _Signs(dict[int, str]):
    """What becomes of a character outside `_MEANT`, a table for `str.translate` that grows as it is
    read.
    """

    def __missing__(self, code: int) -> str:
        self[code] = _sign(chr(code))
        return self[code]


def _sign(character: str) -> str:
    kind = unicodedata.category(character)
    if kind[0] in "LNM":
        return character
    if kind == "Cf":  # joins or parts nothing, but the tags of a flag say which
        return character if "\U000e0020" <= character <= "\U000e007f" else ""
    return " " if kind[0] in "PZ" or kind == "Cc" else f" {character} "


_SIGNS = _Signs(
    dict.fromkeys(map(ord, "`|~"), " ")
)  # half a quotation mark, and strokes that part words


def bare(text: str) -> str:
    """Return a text without case, punctuation and spacing; without case and spacing alone if
    nothing else is left.

    >>> bare("A good movie .") == bare("a good movie")
    True
    >>> bare("x > 3") == bare("x < 3") or bare("3.5") == bare("35") or bare("?") == bare("!")
    False
    """
    plain = unicodedata.normalize("NFKC", text.translate(_ALIKE)).casefold()
    pieces, end = [], 0
    for meant in _MEANT.finditer(plain):
        pieces += [plain[end : meant.start()].translate(_SIGNS), meant[0]]
        end = meant.end()
    pieces.append(plain[end:].translate(_SIGNS))
    return " ".join(" ".join(pieces).split()) or " ".join(plain.split())
