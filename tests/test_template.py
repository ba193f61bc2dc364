"""The template language: what it reads, and each mistake it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbench.data.template import Piece, parse_template
from fewbench.errors import BenchError


def test_the_pieces_of_a_template():
    assert parse_template("{0|cut}? {mask}, {1|lower}") == (
        Piece("text", "0|cut", 0, "cut"),
        Piece("literal", "? "),
        Piece("mask", "mask"),
        Piece("literal", ", "),
        Piece("text", "1|lower", 1, "lower"),
    )


def test_a_template_may_begin_with_its_mask_and_show_options():
    pieces = parse_template("{mask}: {0} {options}")
    assert [piece.kind for piece in pieces] == ["mask", "literal", "text", "literal", "options"]


LITERALS = st.text(st.characters(blacklist_characters="{}"), max_size=8)
FIELDS = st.sampled_from(["{0}", "{1}", "{0|cut}", "{1|lower}", "{options}"])


@given(LITERALS, st.lists(st.tuples(FIELDS, LITERALS), max_size=4), LITERALS)
def test_the_pieces_put_together_are_the_template(start, middle, end):
    template = start + "".join(field + literal for field, literal in middle) + "{mask}" + end
    pieces = parse_template(template)
    shown = "".join(
        piece.value if piece.kind == "literal" else f"{{{piece.value}}}" for piece in pieces
    )
    assert shown == template
    assert all(piece.value for piece in pieces)


@given(st.text("{}|01maskcutlower opins", max_size=20))
def test_any_text_is_read_or_refused(template):
    try:
        pieces = parse_template(template)
    except BenchError:
        return
    assert sum(piece.kind == "mask" for piece in pieces) == 1


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{0} It was.", "has no masks"),
        ("{mask} {0} {mask}", "has 2 masks"),
        ("{0} It was {mask", "an unmatched brace"),
        ("{0}} {mask}", "an unmatched brace"),
        ("{{0}} {mask}", "an unmatched brace"),
        ("{} {mask}", "unknown field '{}'"),
        ("{2} {mask}", "unknown field '{2}'"),
        ("{0} {Mask}", "nearest: {mask}"),
        ("{0} {mask|cut}", "unknown field '{mask|cut}'"),
        ("{options|cut} {mask}", "unknown field '{options|cut}'"),
        ("{0|} {mask}", "unknown modifier ''"),
        ("{0|lowr} {mask}", "nearest: lower"),
    ],
)
def test_a_mistake_is_refused(template, message):
    with pytest.raises(BenchError) as caught:
        parse_template(template)
    assert message in str(caught.value)
