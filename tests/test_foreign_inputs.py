"""Files and terminals as other programs leave them: byte order marks, long fields, shards, code
pages.
"""

from __future__ import annotations

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fewbench.data.documents import documents
from fewbench.data.import_folder import import_folder
from fewbench.data.reader import read_rows
from fewbench.data.task_file import load_file
from fewbench.errors import BenchError, DataError
from fewbench.testing import toy_task
from fewbench.types import Source

BOM = b"\xef\xbb\xbf"


def source(folder, **changes):
    given = dict(
        name="files", path="", config="", train="train", test="test", texts=("text",), label="label"
    )
    return toy_task("single", sources=(Source(**given | dict(hub=False, root=folder) | changes),))


def rows(part, count=3):
    return [{"text": f"{part} {n}", "label": n % 3} for n in range(count)]


def test_a_task_file_may_begin_with_a_byte_order_mark(tmp_path, shared):
    text = (shared / "cases" / "24-toml-bom" / "mood.toml").read_bytes()
    assert text.startswith(BOM)
    for content in (
        text,
        text.removeprefix(BOM),
        text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    ):
        (tmp_path / "mood.toml").write_bytes(content)
        assert list(load_file(tmp_path / "mood.toml").tasks) == ["mood"]


@pytest.mark.parametrize("size", [131_072, 131_073, 400_000])
def test_a_long_csv_field_is_read(tmp_path, size):
    for part in ("train", "test"):
        lines = ["text,label", *(f'"{"a" * size} {part} {n}, and",{n}' for n in range(3))]
        (tmp_path / f"{part}.csv").write_text("\n".join(lines))
    assert len(read_rows(source(tmp_path), None).train[0].texts[0]) == size + len(" train 0, and")


def shards(folder, part, *pieces):
    for number, piece in enumerate(pieces):
        table = pa.Table.from_pylist(piece)
        pq.write_table(table, folder / f"{part}-{number:05}-of-{len(pieces):05}.parquet")


@pytest.mark.parametrize("pieces", [1, 2, 12])
def test_the_hubs_own_shards_are_read_in_order(tmp_path, pieces):
    given = [rows(f"train {n}") for n in range(pieces)]
    shards(tmp_path, "train", *given)
    shards(tmp_path, "test", rows("test"))
    read = read_rows(source(tmp_path), None)
    assert [example.texts[0] for example in read.train] == [
        row["text"] for piece in given for row in piece
    ]


def test_a_missing_shard_is_refused(tmp_path):
    shards(tmp_path, "train", rows("a"), rows("b"), rows("c"))
    shards(tmp_path, "test", rows("test"))
    (tmp_path / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(DataError, match="1 of 3 shards of the split 'train'"):
        read_rows(source(tmp_path), None)


def test_shards_beside_a_file_of_the_split_are_two(tmp_path):
    shards(tmp_path, "train", rows("a"))
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows("b"))))
    with pytest.raises(DataError, match="two files for the split 'train'"):
        read_rows(source(tmp_path), None)


@pytest.mark.parametrize("pieces", [1, 3])
def test_shards_are_imported_as_one_file(tmp_path, pieces):
    (tmp_path / "hub").mkdir()
    shards(tmp_path / "hub", "train", *(rows(f"train {n}") for n in range(pieces)))
    shards(tmp_path / "hub", "test", rows("test"))
    task = source(None, path="toy", root=None)
    done = import_folder(task, tmp_path / "hub", tmp_path / "data")
    assert [(one.file, one.rows) for one in done] == [
        ("toy/train.parquet", 3 * pieces),
        ("toy/test.parquet", 3),
    ]
    assert len(read_rows(task, tmp_path / "data").train) == 3 * pieces


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
def test_a_corpus_may_begin_with_a_byte_order_mark(tmp_path, name):
    text = json.dumps({"sentences": ["One."]}) if name.endswith("jsonl") else "One."
    (tmp_path / name).write_bytes(BOM + text.encode())
    assert list(documents(str(tmp_path / name))) == [["One."]]


@pytest.mark.parametrize(
    "line",
    [
        r'{"sentences": ["a \ud83d b"]}',
        r'{"sentences": ["fine", "\udc00"]}',
        '{"sentences": ["a"], "sentences": []}',
        '{"title": NaN, "sentences": ["a"]}',
        '{"text": "a"}',
        "[" * 100_000,
    ],
)
def test_a_corpus_is_read_as_strictly_as_a_task(tmp_path, line):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"sentences": ["good"]}) + "\n" + line)
    with pytest.raises(DataError) as refused:
        list(documents(str(file)))
    assert refused.value.where == f"{file}, line 2"


def test_half_a_character_is_called_so(tmp_path):
    file = tmp_path / "corpus.jsonl"
    file.write_text(r'{"sentences": ["a \ud83d b"]}')
    with pytest.raises(DataError, match=r"lone surrogate such as .*ud83d"):
        list(documents(str(file)))


@pytest.mark.parametrize(
    "name", ["surrogate.jsonl", "cp1252.txt", "nullsent.jsonl", "textcol.jsonl"]
)
def test_shared_corpora_that_are_no_text_are_refused(shared, name):
    with pytest.raises(DataError, match=r"not UTF-8|not a document"):
        list(documents(str(shared / "cases" / "16-corpus-oddities" / name)))


def test_shared_corpora_with_a_mark_are_those_without(shared):
    folder = shared / "cases" / "16-corpus-oddities"
    assert list(documents(str(folder / "bom.jsonl"))) == list(
        documents(str(folder / "plain.jsonl"))
    )
    assert not next(documents(str(folder / "bom.txt")))[0].startswith("\ufeff")


@pytest.mark.parametrize("folds", [1001, 10**9, 10**30])
def test_more_folds_than_anybody_publishes_are_refused_at_once(tmp_path, folds):
    text = (
        '[mood]\ntitle = "t"\npaper = "p"\nlicence = "l"\nversion = 1\nformat = "single"\nlabels = ["a", "b"]\n'
        'metric = "accuracy"\ntemplate = "{0} {mask}"\nwords = { a = "a", b = "b" }\nmax_length = 9\n'
        '[[mood.source]]\nname = "files"\nfolder = "."\ntrain = "t{fold}"\ndev = "d{fold}"\ntest = "test"\n'
        f'texts = ["text"]\nlabel = "label"\nfolds = {folds}\n'
    )
    (tmp_path / "mood.toml").write_text(text)
    with pytest.raises(BenchError, match=f"'folds' is {folds}"):
        load_file(tmp_path / "mood.toml")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp932"])
def test_every_terminal_takes_what_is_printed(bench, encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    listed = bench("ls", "tasks", env=environment, encoding=encoding)
    assert listed.returncode == 0 and "Traceback" not in listed.stderr and "mrpc" in listed.stdout
    told = bench("ls", "tasks", "--json", env=environment, encoding=encoding)
    words = {task["name"]: task["words"] for task in json.loads(told.stdout)}
    assert "很" in str(words["eprstmt"]) or any(
        "\u4e00" <= letter <= "\u9fff" for letter in str(words["eprstmt"])
    )
