"""Documents: what is read, and what is refused with file and line."""

from __future__ import annotations

import gzip
import json

import pytest

from fewbench.data.documents import HELD_OUT_EVERY, corpus_files, documents, is_held_out, training
from fewbench.errors import DataError, NeedsNetwork


def lines(*documents):
    return "".join(
        json.dumps({"title": "t", "sentences": list(document)}) + "\n" for document in documents
    )


def test_json_lines_gzip_and_text_in_the_order_of_their_names(tmp_path):
    (tmp_path / "b.jsonl").write_text(lines(["Three.", " ", "Four."]) + "\n", "utf-8")
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.write(lines(["One.", "Twö."]))
    (tmp_path / "c.txt").write_text("\nFive.\nSix.\n\n\nSeven.\n", "utf-8")
    (tmp_path / "README.md").write_text("no document")
    assert list(documents(str(tmp_path))) == [
        ["One.", "Twö."],
        ["Three.", "Four."],
        ["Five.", "Six."],
        ["Seven."],
    ]
    assert list(documents(str(tmp_path / "b.jsonl"))) == [["Three.", "Four."]]


def test_every_fiftieth_document_is_held_out(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(*([f"{i}."] for i in range(120))), "utf-8")
    kept = [document[0] for document in training(str(tmp_path))]
    assert len(kept) == 118
    assert "49." not in kept
    assert "99." not in kept
    assert [n for n in range(100) if is_held_out(n)] == [HELD_OUT_EVERY - 1, 2 * HELD_OUT_EVERY - 1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"sentences": ["x"]}\nnonsense\n', "not a JSON line"),
        ("a.jsonl", b'{"sentences": ["x"]}\n{"text": "y"}\n', "not a document"),
        ("a.jsonl", b'{"sentences": ["x"]}\n{"sentences": [1]}\n', "not a document"),
        ("a.jsonl", b'{"sentences": ["x"]}\n{"sentences": ["\xff"]}\n', "not UTF-8"),
        ("a.txt", b"One.\n\xff\n", "not UTF-8"),
    ],
)
def test_a_bad_line_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        list(documents(str(tmp_path)))
    assert f"{tmp_path / name}, line 2" in str(caught.value)


def test_a_gzip_file_cut_short(tmp_path):
    whole = gzip.compress(lines(*([f"Sentence {i}."] for i in range(500))).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read to the end"):
        list(documents(str(tmp_path)))


def test_no_corpus_there(tmp_path):
    (tmp_path / "wikipedia").mkdir()
    with pytest.raises(DataError, match="no corpus") as caught:
        corpus_files(str(tmp_path / "wikipedai"))
    assert caught.value.fix == f"--corpus {tmp_path / 'wikipedia'}"
    with pytest.raises(DataError, match="no corpus"):
        corpus_files(str(tmp_path / "wikipedia"))
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match="no document"):
        list(documents(str(tmp_path / "empty.txt")))


def test_a_hub_data_set(tmp_path, monkeypatch):
    """`datasets` reads a local folder as it reads the hub."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "train.jsonl").write_text(
        json.dumps({"body": "One.\nTwo."}) + "\n" + json.dumps({"body": "Three."})
    )
    assert list(documents(f"hub:{folder}#body")) == [["One.", "Two."], ["Three."]]
    with pytest.raises(DataError, match="no text in the column 'bodi'") as caught:
        list(documents(f"hub:{folder}#bodi"))
    assert caught.value.nearest == ["body"]


def test_a_hub_data_set_that_cannot_be_had():
    with pytest.raises(NeedsNetwork, match="cannot be loaded from the hub"):
        list(documents("hub:nobody/no-such-data-set#text"))
