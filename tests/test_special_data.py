"""Data, corpora, task files and methods that have no end or no bottom are one error, and nothing
hangs.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from fewbench.data import documents
from fewbench.data.corpora import corpus_ref
from fewbench.errors import BenchError, DataError
from fewbench.io import toml
from fewbench.io.jsonl import objects, read_bytes
from fewbench.registry.code_hash import parse

BOMBS = [
    "[" * 200_000,
    '{"a":' * 200_000,
    '{"a": ' + "9" * 5000 + "}",
    '{"a": 1e999}',
    '{"a": NaN}',
]


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
def test_json_lines(tmp_path: Path, text: str):
    with pytest.raises(DataError, match="not a JSON line"):
        list(objects(text.encode(), "here"))
    file = tmp_path / "a.jsonl"
    file.write_text('{"sentences": ["good"]}\n' + text + "\n")
    with pytest.raises(DataError, match="not a JSON line") as caught:
        list(documents.documents(str(file)))
    assert caught.value.where == f"{file}, line 2"


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "a = " + "9" * 5000, "a = {b = " * 50_000, "\xff"]
)
def test_task_files(tmp_path: Path, text: str):
    file = tmp_path / "task.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BenchError, match=r"not TOML|not UTF-8") as caught:
        toml.load(file)
    assert str(file) in str(caught.value.where)


@pytest.mark.parametrize("text", ["x = " + "(" * 100_000, "x = '\0'", "\udcff"])
def test_methods(tmp_path: Path, text: str):
    file = tmp_path / "method.py"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BenchError, match="not Python"):
        parse(file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_no_pipe_is_waited_for(tmp_path: Path, kind: str):
    def made(name: str) -> Path:
        file = tmp_path / name
        {"pipe": os.mkfifo, "device": lambda f: f.symlink_to("/dev/zero"), "folder": Path.mkdir}[
            kind
        ](file)
        return file

    corpus = made("a.txt")
    for read in (
        lambda: list(documents.documents(str(tmp_path))),
        lambda: corpus_ref(str(tmp_path)),
    ):
        with pytest.raises(DataError, match="cannot be read"):
            read()
    corpus.rmdir() if kind == "folder" else corpus.unlink()
    for name, read in (("a.jsonl", read_bytes), ("a.toml", toml.load), ("a.py", parse)):
        with pytest.raises(BenchError, match=f"this file cannot be read: a {kind}, not a file"):
            read(made(name))


@pytest.mark.parametrize("ending", [".jsonl.gz", ".txt.gz"])
@pytest.mark.parametrize("piece", [b"a" * 1000, b"a word or two\n" * 100])
def test_a_gzip_bomb_is_not_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, piece: bytes
):
    monkeypatch.setattr(documents, "LONGEST", 100_000)
    file = tmp_path / f"bomb{ending}"
    with gzip.open(file, "wb") as stream:
        for _ in range(10_000):
            stream.write(piece)
    taken = 0

    class Counting(gzip.GzipFile):
        def readline(self, size: int | None = -1) -> bytes:
            nonlocal taken
            line = super().readline(size)
            taken += len(line)
            return line

    monkeypatch.setattr(gzip, "GzipFile", Counting)
    with pytest.raises(DataError, match=r"a document of more than|not a JSON line"):
        list(documents.documents(str(file)))
    assert 0 < taken <= 2 * documents.LONGEST
