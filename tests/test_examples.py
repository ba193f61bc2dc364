"""An example of a row: texts made of several columns, and the parts that are refused."""

from __future__ import annotations

import pytest
from rows import with_

from fewbench.data.rows import DataRow, to_example
from fewbench.errors import DataError


def example_of(columns, *names):
    return to_example(with_(texts=names), DataRow("x.jsonl, line 1", columns), "train-0")


def test_a_text_of_several_columns():
    row = {"span": {"pronoun": "it", "noun": "a {kind} cat"}, "kind": "or not", "label": 1}
    made = example_of(row, "{span.pronoun} means {span.noun}, {kind}")
    assert made.texts == (
        "it means a {kind} cat, or not",
    )  # what is filled in is not looked at again
    assert example_of({"a.b": "whole", "a": {"b": "inner"}, "label": 1}, "a.b").texts == ("whole",)
    assert example_of({"a": {"b": "inner"}, "label": 1}, "a.b").texts == ("inner",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"span": {"noun": "cat"}}, "there is no column 'pronoun'"),
        ({"span": "cat"}, "there is no column 'span.pronoun'"),
        ({"span": {"pronoun": "", "noun": "cat"}}, "'span.pronoun' is empty"),
        ({"span": {"pronoun": 1, "noun": "cat"}}, "'span.pronoun' is 1"),
    ],
)
def test_a_part_of_a_text_that_does_not_fit_is_refused(row, message):
    with pytest.raises(DataError) as caught:
        example_of({**row, "label": 1}, "{span.pronoun} means {span.noun}")
    assert message in str(caught.value) and "line 1" in str(caught.value)
