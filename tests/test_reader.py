"""The strict reader: what it takes as it stands, and each row it refuses with its file and line."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import CHOICE, GOOD, REGRESSION, SOURCE, TASK, folder, read, texts, with_  # noqa: F401

from fewbench.data.reader import read_rows
from fewbench.errors import DataError


def test_rows_have_their_place_and_files_their_hash(folder, tmp_path):
    (folder / "train.jsonl").write_text(GOOD * 3)
    rows = read_rows(TASK, tmp_path, offline=True)
    assert [(e.id, e.texts, e.label, e.options) for e in rows.train][2] == (
        "train-2",
        ("Fine.",),
        1,
        (),
    )
    assert [e.id for e in rows.test] == ["test-0"]
    assert rows.files[0] == {
        "file": "owner/mood/train.jsonl",
        "rows": 3,
        "sha256": hashlib.sha256(GOOD.encode() * 3).hexdigest(),
    }


def test_a_source_with_a_folder_of_its_own_needs_no_data_folder(folder, tmp_path):
    (folder / "train.jsonl").write_text(GOOD)
    rows = read_rows(with_(root=tmp_path / "owner", path="mood"), None, offline=True)
    assert (len(rows.train), rows.files[0]["file"]) == (1, "mood/train.jsonl")


KEPT = [
    "NA",
    "null",
    "None",
    "nan",
    "007",
    "1e5",
    "true",
    "-",
    ' a "stray quote',
    "a\u2028b",
    "a\x85b",
    "a\x1cb",
    "é😀",
]


def test_texts_stay_as_they_are(read):
    lines = [json.dumps({"text": text, "label": 0}, ensure_ascii=False) + "\n" for text in KEPT]
    assert texts(read("".join(lines))) == KEPT


def test_tsv_texts_stay_as_they_are(read):
    assert texts(read("text\tlabel\n" + "".join(f"{text}\t0\n" for text in KEPT), "tsv")) == KEPT


def test_csv_texts_stay_as_they_are(read):
    rows = "".join(
        '"{}",0\n'.format(text.replace('"', '""')) for text in [*KEPT, "two\nlines", "a, b"]
    )
    assert texts(read("text,label\n" + rows, "csv")) == [*KEPT, "two\nlines", "a, b"]


def test_a_byte_order_mark_and_windows_lines_are_no_text(read, folder):
    for extension, content in (
        ("tsv", "text\tlabel\r\nFine.\t1\r\n"),
        ("csv", "text,label\r\nFine.,1\r\n"),
    ):
        assert [(e.texts, e.label) for e in read("\ufeff" + content, extension)] == [
            (("Fine.",), 1)
        ]
        (folder / f"train.{extension}").unlink()
    assert texts(read("\ufeff" + GOOD.replace("\n", "\r\n"))) == ["Fine."]


def test_a_file_may_lack_its_last_newline_or_its_header(read, folder):
    assert len(read(GOOD * 2 + GOOD[:-1])) == 3
    (folder / "train.jsonl").unlink()
    rows = read("1,Fine.\n0,NA", "csv", with_(columns=("label", "text")))
    assert [(e.texts[0], e.label) for e in rows] == [("Fine.", 1), ("NA", 0)]


def test_values_map_the_files_labels(read, folder):
    (folder / "test.jsonl").write_text('{"text": "a", "label": "yes"}\n')
    rows = read(
        '{"text": "a", "label": "yes"}\n{"text": "b", "label": "no"}\n',
        task=with_(values=("no", "yes")),
    )
    assert [e.label for e in rows] == [1, 0]


def test_integers_as_values(read, folder):
    task = with_(values=(1, 0))
    (folder / "test.jsonl").write_text(GOOD)
    assert [e.label for e in read(GOOD + GOOD.replace("1", "0"), task=task)] == [0, 1]
    (folder / "train.jsonl").unlink()
    assert [e.label for e in read("text\tlabel\na\t1\nb\t0\n", "tsv", task)] == [0, 1]


def test_a_regression_in_jsonl(read):
    rows = read('{"text": "a", "label": 5}\n{"text": "b", "label": 0.25}\n', task=REGRESSION)
    assert [e.label for e in rows] == [5.0, 0.25]
    assert all(type(e.label) is float for e in rows)


def test_a_regression_in_tsv(read):
    assert [e.label for e in read("text\tlabel\na\t5.000\nb\t1e-1\n", "tsv", REGRESSION)] == [
        5.0,
        0.1,
    ]


def test_options(read):
    row = {"text": "p", "question": "q", "options": ["x", "NA", "z"], "label": 2}
    (example,) = read(json.dumps(row), task=CHOICE)
    assert (example.texts, example.options, example.label) == (("p", "q"), ("x", "NA", "z"), 2)


def test_an_empty_text_may_be_declared(read):
    assert texts(read('{"text": " ", "label": 1}\n', task=with_(may_be_empty=True))) == [" "]


JSON = {
    "not JSON": ('{"text": "a", label: 1}', "not a JSON line"),
    "a blank line": ("", "not a JSON line"),
    "a list": ('["a", 1]', "a row must be a JSON object, not list"),
    "a column twice": ('{"text": "a", "text": "b", "label": 1}', "a column appears twice"),
    "NaN": ('{"text": "a", "label": NaN}', "NaN is not a JSON number"),
    "deep nesting": ("[" * 100_000, "not a JSON line"),
    "a missing column": (
        '{"txt": "a", "label": 1}',
        "no column 'text'\n",
        "nearest: txt",
        "allowed: label, txt",
    ),
    "no label": ('{"text": "a"}', "no column 'label'"),
    "null for a text": ('{"text": null, "label": 1}', "'text' is None"),
    "a number for a text": ('{"text": 7, "label": 1}', "'text' is 7"),
    "an empty text": ('{"text": "", "label": 1}', "'text' is empty"),
    "a blank text": ('{"text": " \\u00a0", "label": 1}', "'text' is empty", "may_be_empty"),
    "half a character": ('{"text": "a \\ud83d b", "label": 1}', r"'text' is 'a \ud83d b'"),
    "a text for an index": (
        '{"text": "a", "label": "1"}',
        "the label is '1'",
        "allowed: 0 bad, 1 good",
    ),
    "true for an index": ('{"text": "a", "label": true}', "the label is True"),
    "a float for an index": ('{"text": "a", "label": 1.0}', "the label is 1.0"),
    "null for an index": ('{"text": "a", "label": null}', "the label is None"),
    "a list for an index": ('{"text": "a", "label": [1]}', "the label is [1]"),
    "an index too high": ('{"text": "a", "label": 2}', "the label is 2"),
    "a hidden label": ('{"text": "a", "label": -1}', "the label is -1 (the hub hides"),
}


@pytest.mark.parametrize("mistake", JSON)
def test_a_json_line_that_is_refused(mistake, read, folder):
    line, *parts = JSON[mistake]
    with pytest.raises(DataError) as caught:
        read(GOOD * 4 + line + "\n" + GOOD)
    message = str(caught.value)
    assert f"{folder / 'train.jsonl'}, line 5" in message
    assert not [part for part in parts if part not in message], message
    assert "cut short" not in message


@pytest.mark.parametrize(
    ("label", "shown"),
    [("6", "6"), ("-0.1", "-0.1"), ('"3.0"', "'3.0'"), ("true", "True"), ("1" + "0" * 400, "1000")],
)
def test_a_value_that_is_refused(label, shown, read):
    with pytest.raises(DataError, match="a number from 0 to 5") as caught:
        read(f'{{"text": "a", "label": {label}}}\n', task=REGRESSION)
    assert f"the value is {shown}" in str(caught.value)


def test_a_number_that_no_float_holds_is_refused_in_any_column(read):
    with pytest.raises(DataError, match=r"the number 1e400 is too large"):
        read('{"text": "a", "label": 1, "other": 1e400}\n', task=REGRESSION)


@pytest.mark.parametrize("value", ["", " 5", "1_0", "nan", "inf", "-1", "5.001", "٣", "1,5"])
def test_a_value_in_tsv_that_is_refused(value, read):
    with pytest.raises(DataError, match=r"train\.tsv, line 3") as caught:
        read(f"text\tlabel\na\t1.0\nb\t{value}\n", "tsv", REGRESSION)
    assert f"the value is {value!r}" in str(caught.value)


@pytest.mark.parametrize("label", ["", "2", "-1", "+1", " 1", "1.0", "true", "²", "٣"])
def test_an_index_in_tsv_that_is_refused(label, read):
    with pytest.raises(DataError, match=r"train\.tsv, line 3") as caught:
        read(f"text\tlabel\na\t1\nb\t{label}\n", "tsv")
    assert f"the label is {label!r}" in str(caught.value)


@pytest.mark.parametrize("value", ["ja", 1, True, None, ["yes"]])
def test_a_value_that_is_not_declared_is_refused(value, read):
    with pytest.raises(DataError, match="allowed: no, yes"):
        read(json.dumps({"text": "a", "label": value}), task=with_(values=("no", "yes")))


def test_true_is_no_one(read):
    with pytest.raises(DataError, match="the label is True"):
        read('{"text": "a", "label": true}', task=with_(values=(1, 0)))


@pytest.mark.parametrize(
    "options", [["x", "y"], ["x", "y", "x"], ["x", "y", " "], ["x", "y", 3], "xyz", None]
)
def test_options_that_are_refused(options, read):
    row = {"text": "p", "question": "q", "options": options, "label": 0}
    with pytest.raises(DataError, match="a list of 3 different texts"):
        read(json.dumps(row), task=CHOICE)


@pytest.mark.parametrize(
    ("extension", "content", "line", "message"),
    [
        (
            "tsv",
            "text\tlabel\na\t1\nb\tc\t0\nd\t1\n",
            3,
            "3 fields for 2 columns: text, label",
        ),
        ("tsv", "text\tlabel\na\t1\n\nd\t1\n", 3, "1 fields"),
        ("tsv", "text\ttext\na\t1\n", 1, "two columns have the same name"),
        ("tsv", "txt\tlabel\na\t1\n", 2, "nearest: txt"),
        ("csv", "text,label\na,1\nb,c,0\n", 3, "3 fields for 2 columns: text, label"),
        ("csv", 'text,label\na,1\n"b\nc",2\nd,1\n', 3, "the label is '2'"),
        ("csv", 'text,label\n"two\nlines",1\n"b"c,0\n', 4, "not CSV"),
        ("csv", 'text,label\na,1\n"b,0\nc,1\n', 3, "not CSV: unexpected end of data"),
        ("csv", "text,label\na,1\n\nb,1\n", 3, "0 fields"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(extension, content, line, message, read):
    with pytest.raises(DataError) as caught:
        read(content, extension)
    assert f"train.{extension}, line {line}\n" in str(caught.value) + "\n"
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("extension", "content"), [("jsonl", GOOD * 3), ("tsv", "text\tlabel\na\t1\nb\t1\nc\t0\n")]
)
def test_a_file_cut_in_mid_line_says_so(extension, content, read):
    cut = content[: -(20 if extension == "jsonl" else 3)]
    with pytest.raises(DataError, match="may be cut short"):
        read(cut, extension)


def test_a_mistake_before_the_last_line_is_no_cut(read):
    with pytest.raises(DataError, match="line 1") as caught:
        read("{\n" + GOOD[:-1])
    assert "cut short" not in str(caught.value)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_no_text_are_refused_by_line(mark, read):
    with pytest.raises(
        DataError, match=r"not UTF-8 text \(byte 0xe9\)\n  in: .*train\.tsv, line 3"
    ):
        read(mark + "text\tlabel\na\t1\ncafé\t0\n".encode("latin-1"), "tsv")


@pytest.mark.parametrize(
    ("extension", "content"), [("jsonl", ""), ("tsv", "text\tlabel\n"), ("csv", ""), ("tsv", "")]
)
def test_a_file_without_rows_is_refused(extension, content, read):
    with pytest.raises(DataError, match="no rows"):
        read(content, extension)


def test_two_files_of_one_split_are_refused(read, folder):
    (folder / "train.tsv").write_text("text\tlabel\na\t1\n")
    with pytest.raises(DataError, match=r"train\.jsonl and train\.tsv"):
        read(GOOD)


def test_a_file_that_is_missing_says_what_to_type(folder, tmp_path):
    task = replace(TASK, sources=(SOURCE, replace(SOURCE, name="other")))
    for data in (None, tmp_path):
        with pytest.raises(DataError, match="no file for the split 'train'") as caught:
            read_rows(task, data, offline=False)
        assert "other sources: mood@other" in str(caught.value)
        assert "--data DIR (or FEWBENCH_DATA) with owner/mood/train.jsonl in it" in str(
            caught.value
        )
    assert str(folder) in str(caught.value)
    with pytest.raises(DataError, match=r"put the file there: train\.jsonl") as caught:
        read_rows(with_(root=tmp_path / "own"), tmp_path, offline=False)
    assert str(tmp_path / "own" / "owner" / "mood") in str(caught.value)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.text(
            st.characters(exclude_characters="\t\n\r\ufeff", exclude_categories=("Cs",)), min_size=1
        ),
        min_size=1,
    )
)
def test_tsv_gives_back_any_text(tmp_path_factory, written):
    folder = tmp_path_factory.mktemp("tsv")
    for split in ("train", "test"):
        (folder / f"{split}.tsv").write_bytes(
            ("text\tlabel\n" + "".join(f"{t}\t1\n" for t in written)).encode()
        )
    rows = read_rows(with_(path="", may_be_empty=True), folder, offline=True)
    assert texts(rows.train) == texts(rows.test) == written


def test_two_rows_of_one_id_are_refused(read):
    rows = [{"text": "Fine.", "label": 1, "idx": number} for number in (1, 2, 1)]
    with pytest.raises(DataError) as caught:
        read("".join(json.dumps(row) + "\n" for row in rows))
    assert "two rows have the idx 1" in str(caught.value)
    assert "line 3" in str(caught.value.where) and "line 1" in str(caught.value)
