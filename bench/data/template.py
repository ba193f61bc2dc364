"""Parse and render templates: literal text, `{0}`, `{1}`, `{options}`, `{mask}` and modifiers."""

from __future__ import annotations

import re
from itertools import pairwise
from string import ascii_uppercase
from typing import Literal, NamedTuple

from fewbench.errors import BenchError
from fewbench.types import Example

MODIFIERS = {
    "cut": "drops the last character (a full stop before the template's own punctuation)",
    "lower": "lower-cases the first letter",
}

FIELDS = ("{0}", "{1}", "{options}", "{mask}", "{0|cut}", "{1|lower}", "{options|chinese}")
"""The fields, for errors."""

_CHINESE_NUMERALS = (*"一二三四五六七八九十", "十一", "十二", "十三", "十四", "十五", "十六")

MARKS = {
    "options": tuple(f"{letter}. " for letter in ascii_uppercase[:16]),
    "options|chinese": tuple(f"{numeral}、" for numeral in _CHINESE_NUMERALS),
}
"""The marks before up to 16 options (ppt, equation 4, appendix B, section 3.3)."""


class Piece(NamedTuple):
    """A piece of a template: literal text, the example's text `index`, its options, or the mask."""

    kind: Literal["literal", "text", "options", "mask"]
    value: str
    index: int = 0  # type: ignore[assignment]  # a tuple has a method of this name, unused here
    modifier: str = ""


def parse_template(template: str) -> tuple[Piece, ...]:
    """Parse a template into its pieces.

    Raises:
        BenchError: a brace is unmatched, a field or modifier is unknown, or there is not exactly
            one mask.
    """
    parts = re.split(r"\{([^{}]*)\}", template)  # literals at even places, fields at odd ones
    if any("{" in literal or "}" in literal for literal in parts[::2]):
        problem = f"an unmatched brace in the template '{template}'"
        raise BenchError(problem, fix="{0} It was {mask}.")
    pieces: list[Piece] = []
    for number, part in enumerate(parts):
        if number % 2:
            pieces.append(_field(part, template))
        elif part:
            pieces.append(Piece("literal", part))
    masks = sum(piece.kind == "mask" for piece in pieces)
    if masks != 1:
        raise BenchError(
            f"the template '{template}' has {masks or 'no'} masks",
            allowed="exactly one {mask}",
            fix="{0} It was {mask}.",
        )
    return tuple(pieces)


def _field(field: str, template: str) -> Piece:
    name, bar, modifier = field.partition("|")
    if field in MARKS:
        return Piece("options", field)
    if name not in ("mask", "0", "1") or (bar and name == "mask"):
        raise BenchError(
            f"unknown field '{{{field}}}' in the template '{template}'",
            allowed=FIELDS,
            given=f"{{{field}}}",
        )
    if bar and modifier not in MODIFIERS:
        raise BenchError(
            f"unknown modifier '{modifier}' in the template '{template}'",
            allowed=MODIFIERS,
            given=modifier,
        )
    if name == "mask":
        return Piece("mask", field)
    return Piece("text", field, int(name), modifier)


def without_words(template: str) -> str:
    """Keep only a template's texts, options and mask: hard prompt "None" in Table 1 of ppt.

    >>> without_words("{0|cut}? {mask}, {1|lower}")
    '{0} {mask} {1}'
    """
    fields = {"text": "{{{0.index}}}", "options": "{{{0.value}}}", "mask": "{{mask}}"}
    return " ".join(
        fields[piece.kind].format(piece)
        for piece in parse_template(template)
        if piece.kind in fields
    )


def piece_text(piece: Piece, before: Piece, example: Example, mask: str = "") -> str:
    """Render a piece for an example; a space before a text belongs to it, as in byte-level BPE.

    Args:
        piece: the piece.
        before: the piece before it.
        example: gives texts and options.
        mask: the text of the mask.
    """
    if piece.kind == "literal":
        return piece.value.rstrip(" ")
    if piece.kind == "options":
        marked = zip(MARKS[piece.value], example.options, strict=False)
        text = " ".join(mark + option for mark, option in marked if option)
    else:
        text = example.texts[piece.index] if piece.kind == "text" else mask
    if piece.modifier == "cut":
        text = text[:-1]
    elif piece.modifier == "lower":
        text = text[:1].lower() + text[1:]
    return " " + text if before.kind == "literal" and before.value.endswith(" ") else text


def render(template: str, example: Example, mask: str) -> str:
    """Render a template for an example, as people read it, with `mask` as the text of the mask."""
    pieces = (Piece("literal", ""), *parse_template(template))
    return "".join(piece_text(piece, before, example, mask) for before, piece in pairwise(pieces))
