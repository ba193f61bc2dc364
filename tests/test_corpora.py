"""The corpus the package ships, and how a corpus is found by its name."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

from fewbench.data.corpora import DEMO, EMBEDDED, corpus_names, corpus_revision, find_corpus
from fewbench.data.documents import documents
from fewbench.errors import BenchError, DataError
from fewbench.io.toml import load

MANY_DOCUMENTS, MANY_SENTENCES = 160, 1300


@pytest.fixture(scope="module")
def shipped():
    return list(documents(str(find_corpus(DEMO)[0])))


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower().replace("'", ""))


def demo_texts():
    """Yield every text of every row of the demo tasks, and each of its sentences."""
    for file in sorted((EMBEDDED[DEMO].parent).glob("*/*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            for value in json.loads(line).values():
                for text in value if isinstance(value, list) else [value]:
                    if isinstance(text, str):
                        yield text
                        yield from re.split(r"(?<=[.!?])\s+", text)


def jaccard(left, right):
    return len(left & right) / len(left | right)


def alike(sets, others, bound):
    """Return the pairs (i, j) whose token Jaccard reaches the bound; only pairs that share a rare
    token are tried.
    """
    count = {}
    for tokens in others:
        for token in tokens:
            count[token] = count.get(token, 0) + 1
    holders = {}
    for j, tokens in enumerate(others):
        for token in tokens:
            holders.setdefault(token, []).append(j)
    found = []
    for i, tokens in enumerate(sets):
        # of n tokens, a partner at Jaccard >= b holds at least b n: it holds one of the n - ceil(b
        # n) + 1 rarest
        rare = sorted(tokens, key=lambda token: count.get(token, 0))[
            : len(tokens) - int(bound * len(tokens)) + 1
        ]
        near = {j for token in rare for j in holders.get(token, ())}
        found += [(i, j) for j in near if jaccard(tokens, others[j]) >= bound]
    return found


def test_the_shipped_corpus_is_large_enough_and_well_formed(shipped):
    sentences = [sentence for document in shipped for sentence in document]
    assert len(shipped) >= MANY_DOCUMENTS
    assert len(sentences) >= MANY_SENTENCES
    assert all(6 <= len(document) <= 10 for document in shipped)
    assert all(5 <= len(sentence.split()) <= 25 for sentence in sentences)
    titles = [json.loads(line)["title"] for line in EMBEDDED[DEMO].read_text("utf-8").splitlines()]
    assert len(set(titles)) == len(titles) == len(shipped)


def test_the_shipped_corpus_is_plain_text(shipped):
    for document in shipped:
        for sentence in document:
            assert sentence.isascii(), sentence
            assert sentence == " ".join(sentence.split()), sentence
            assert re.fullmatch(r"[A-Z0-9].*[.!?]", sentence), sentence
            assert '"' not in sentence, sentence


def test_no_two_sentences_are_alike(shipped):
    sentences = [sentence for document in shipped for sentence in document]
    assert len({" ".join(words(sentence)) for sentence in sentences}) == len(sentences)
    sets = [set(words(sentence)) for sentence in sentences]
    assert [(sentences[i], sentences[j]) for i, j in alike(sets, sets, 0.7) if i < j] == []


def test_no_sentence_is_near_a_row_of_the_demo_tasks(shipped):
    sentences = [sentence for document in shipped for sentence in document]
    rows = sorted(set(demo_texts()))
    assert len(rows) > 1000
    assert not set(sentences) & set(rows)
    assert not {" ".join(words(sentence)) for sentence in sentences} & {
        " ".join(words(row)) for row in rows
    }
    pairs = alike(
        [set(words(s)) for s in sentences], [set(words(row)) for row in rows if words(row)], 0.7
    )
    assert [sentences[i] for i, _ in pairs] == []


def test_the_search_for_alike_sentences_finds_them():
    sets = [set("abcdefghij"), set("klmnopqrst")]
    assert alike(sets, [set("abcdefghiz"), set("abcdexyzuv"), set("klmnopqrst")], 0.7) == [
        (0, 0),
        (1, 2),
    ]


def test_the_wheel_holds_the_corpus():
    declared = load(PROJECT / "pyproject.toml")["tool"]["setuptools"]["package-data"]
    held = {
        file for pattern in declared["fewbench.tasks"] for file in (PROJECT / "tasks").glob(pattern)
    }
    assert PROJECT / "tasks" / "demo" / "corpus.jsonl" in held


def test_a_corpus_is_found_by_name_file_folder_and_in_the_data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "corpora" / "news"
    folder.mkdir(parents=True)
    (folder / "b.txt").write_text("Two.\n")
    with gzip.open(folder / "a.jsonl.gz", "wt") as stream:
        stream.write('{"sentences": ["One."]}\n')
    files = [folder / "a.jsonl.gz", folder / "b.txt"]
    monkeypatch.chdir(tmp_path)
    assert find_corpus("news", tmp_path / "data") == files
    assert find_corpus(str(folder)) == files
    assert find_corpus(str(files[1])) == [files[1]]
    assert find_corpus(DEMO, tmp_path / "data") == find_corpus(DEMO, None) == [EMBEDDED[DEMO]]
    assert corpus_names(tmp_path / "data") == [DEMO, "news"]
    assert corpus_names(tmp_path / "nowhere") == corpus_names(None) == [DEMO]


@pytest.mark.parametrize("name", ["nwes", "", "../news", "no/such/folder"])
def test_an_unknown_corpus_is_refused_with_what_to_type(tmp_path, monkeypatch, name):
    (tmp_path / "data" / "corpora" / "news").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchError, match=f"no corpus '{re.escape(name)}'") as caught:
        find_corpus(name, tmp_path / "data")
    assert "demo-corpus" in caught.value.allowed
    assert "news" in caught.value.allowed
    assert caught.value.fix.startswith("--corpus ")
    if name == "nwes":
        assert caught.value.nearest == ["news"]
        assert caught.value.fix == "--corpus news, or the path of a file or folder"
    with pytest.raises(BenchError, match="no data folder is set"):
        find_corpus(name)


def test_a_folder_without_documents_is_refused(tmp_path):
    (tmp_path / "corpora" / "empty").mkdir(parents=True)
    with pytest.raises(DataError, match="no corpus at"):
        find_corpus("empty", tmp_path)


def test_the_revision_follows_the_bytes_and_nothing_else(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_bytes(b"ab")
    two.write_bytes(b"c")
    by_hand = hashlib.sha256()
    for raw in (b"ab", b"c"):
        by_hand.update(len(raw).to_bytes(8, "big") + hashlib.sha256(raw).digest())
    first = corpus_revision([one, two])
    assert first == by_hand.hexdigest()
    assert corpus_revision([two, one]) != first
    moved = one.rename(tmp_path / "moved.txt")
    assert corpus_revision([moved, two]) == first
    moved.write_bytes(b"a")
    two.write_bytes(b"bc")
    assert corpus_revision([moved, two]) != first  # the same bytes, cut elsewhere


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    file.write_bytes(b"old")
    first = corpus_revision([file])
    opened = []
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *a, **b: opened.append(self) or real(self, *a, **b)
    )
    assert corpus_revision([file]) == first
    assert opened == []
    file.write_bytes(b"new")
    os.utime(file, (1, 1))
    assert corpus_revision([file]) != first
    assert file.resolve() in opened


def test_corpora_load_without_torch():
    code = "import sys, fewbench.data.corpora; print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
