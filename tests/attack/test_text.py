"""Texts taken apart and put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbench.measure.attack.text import tokens, words


@given(st.text(alphabet="ab '.-,!(\n\té", max_size=30))
def test_a_text_is_put_together_again(text):
    assert tokens(text).text == text
    assert words(text).text == text


def test_tokens_keep_what_is_tokenised_and_part_marks_from_words():
    assert tokens("it 's ca n't j.d. , 6 - 5 -- good .").words == tuple(
        "it 's ca n't j.d. , 6 - 5 -- good .".split()
    )
    assert tokens('Well, "this" (7:30) is it, Mr. Fox.').words == tuple(
        'Well , " this " ( 7:30 ) is it , Mr. Fox .'.split()
    )


def test_words_are_textattacks():
    assert words("i'm 'quoted' x-ray, u.s. a*b -- @me self-").words == (
        "i'm", "quoted", "x-ray", "u", "s", "a*b", "me", "self",
    )  # fmt: skip


def test_a_word_is_replaced_and_its_neighbours_stay():
    text = words("a good, good film.").replace(2, "great")
    assert text.text == "a good, great film."
    assert text.words == ("a", "good", "great", "film")


@pytest.mark.parametrize(("place", "left"), [(0, "good, film."), (1, "a, film."), (2, "a good,.")])
def test_a_word_is_deleted_with_one_space(place, left):
    assert words("a good, film.").delete(place) == left


@pytest.mark.parametrize(
    ("place", "window"),
    [(0, "a b, c d e"), (2, "a b, c d e"), (3, "b, c d e f"), (6, "c d e f. g"), (5, "c d e f. g")],
)
def test_a_window_has_its_size_at_the_edges_too(place, window):
    assert words("a b, c d e f. g!").window(place, 5) == window


def test_a_window_of_a_short_text_is_its_words():
    assert words("'a b!'").window(1, 15) == "a b"
