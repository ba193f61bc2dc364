"""The template language: literal text, `{0}`, `{1}`, `{options}`, `{mask}`, and what a modifier
makes of them.
"""

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

MARKS = {
    "options": tuple(f"{letter}. " for letter in ascii_uppercase[:16]),
    "options|chinese": tuple(
        f"{number}、" for number in (*"一二三四五六七八九十", *(f"十{n}" for n in "一二三四五六"))
    ),
}
"""What stands before each option, for up to 16 (ppt, equation 4, appendix B, section 3.3)."""


class Piece(NamedTuple):
    """One stretch of a template: literal text, a text of the example (`index`), its options, or the
    mask.
    """

    kind: Literal["literal", "text", "options", "mask"]
    value: str
    index: int = 0  # type: ignore[assignment]  # a tuple has a method of this name, unused here
    modifier: str = ""


def parse_template(template: str) -> tuple[Piece, ...]:
    """Return the pieces of a template, in order.

    Raises:
        BenchError: a brace without a partner, an unknown field or modifier, or not exactly one
            mask.
    """
    parts = re.split(r"\{([^{}]*)\}", template)  # literals at even places, fields at odd ones
    if any("{" in literal or "}" in literal for literal in parts[::2]):
        raise BenchError(
            f"a brace without a partner in the template '{template}'", fix="{0} It was {mask}."
        )
    pieces = [
        _field(part, template) if n % 2 else Piece("literal", part)
        for n, part in enumerate(parts)
        if n % 2 or part
    ]
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
            allowed=[
                "{0}",
                "{1}",
                "{options}",
                "{mask}",
                "{0|cut}",
                "{1|lower}",
                "{options|chinese}",
            ],
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
    """Return a template's texts, options and mask alone, in its order: ppt, Table 1, hard prompt
    "None".

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
    """Return what a piece says for an example; the space before a text goes with the text
    (byte-level vocabularies).

    Args:
        piece: the piece.
        before: the piece before it.
        example: gives texts and options.
        mask: what stands for the mask.
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
    """Return a template filled with an example's texts, as a person reads it; `mask` stands for the
    mask.
    """
    pieces = (Piece("literal", ""), *parse_template(template))
    return "".join(piece_text(piece, before, example, mask) for before, piece in pairwise(pieces))
