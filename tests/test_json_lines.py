"""JSON as rows need it: strict to read, and written quickly."""

from __future__ import annotations

import json

import pytest

from fewbench.io.files import parse_json
from fewbench.io.jsonl import compact


def test_rows_are_written_as_json_writes_them_in_its_shortest_form() -> None:
    parts = [
        ("", 'a "quote"', "back\\slash"),
        (),
        "1.5",
        ("é 🙂 \ud83d \x00\u2028\x7f", "</script>"),
    ]
    parts.append((("an answer", 3), 1.5, None))
    assert compact(parts) == json.dumps(parts, separators=(",", ":"))
    assert compact([]) == "[]"


@pytest.mark.parametrize("text", ['{"a": 1e999}', '{"a": NaN}', "\ufeff{}", "{} {}", "[" * 100_000])
def test_text_and_bytes_are_parsed_equally_strictly(text: str) -> None:
    for given in (text, text.encode()):
        if given != "\ufeff{}".encode():  # the mark of bytes is read as json.loads reads it
            with pytest.raises(ValueError, match=r"not|nested|large|Extra|Expecting"):
                parse_json(given)
    assert parse_json(" [1.5, 2] \n") == parse_json(b" [1.5, 2] \n") == [1.5, 2]
    assert parse_json("{}".encode("utf-16")) == parse_json("\ufeff{}".encode()) == {}
