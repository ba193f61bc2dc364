"""The averaged perceptron, by hand and against NLTK."""

from __future__ import annotations

import json
import warnings

import pytest

from fewbench.errors import BenchError
from fewbench.measure.attack.tagger import Tagger, read_tagger

UNIVERSAL = {"A": "NOUN", "B": "VERB"}


def tagger(weights, known=None):
    return Tagger(weights, known or {}, frozenset("AB"), UNIVERSAL)


def test_a_known_word_has_its_tag():
    assert tagger({}, {"run": "A"}).tag(["we", "run"], 1) == "NOUN"


def test_without_weights_the_last_tag_of_the_alphabet_wins():
    assert tagger({}).tag(["x"], 0) == "VERB"


@pytest.mark.parametrize(
    ("feature", "words", "index"),
    [
        ("i word sit", ["Sit"], 0),
        ("i word !YEAR", ["1999"], 0),
        ("i word !HYPHEN", ["x-ray"], 0),
        ("i word !DIGITS", ["7up"], 0),
        ("i suffix ing", ["sing"], 0),
        ("i pref1 s", ["sing"], 0),
        ("i-1 tag -START-", ["x"], 0),
        ("i-2 tag -START2-", ["x"], 0),
        ("i-2 tag -START-", ["x", "y"], 1),
        ("i-1 word -START2-", ["x"], 0),
        ("i-1 word x", ["x", "y"], 1),
        ("i-2 word -START2-", ["x", "y"], 1),
        ("i+1 word y", ["x", "y"], 0),
        ("i+2 word -END-", ["x", "y"], 0),
        ("i+1 word -END-", ["x", "y"], 1),
        ("i+2 word -END2-", ["x", "y"], 1),
        ("i-1 tag+i word B y", ["x", "y"], 1),
        ("i tag+i-2 tag B -START-", ["x", "y"], 1),
    ],
)
def test_each_feature_counts(feature, words, index):
    assert tagger({feature: {"A": 1.0}}).tag(words, index) == "NOUN"


def test_the_sum_of_weights_decides():
    weights = {"i word x": {"A": 1.0, "B": 0.5}, "i+1 word y": {"B": 0.6}}
    assert tagger(weights).tag(["x", "z"], 0) == "NOUN"
    assert tagger(weights).tag(["x", "y"], 0) == "VERB"


def test_tags_are_nltks(shared, monkeypatch):
    monkeypatch.setenv("NLTK_DATA", str(shared / "nltk_data"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nltk = pytest.importorskip(
            "nltk", reason="NLTK is not installed (pip install 'fewbench[attack]')"
        )
    monkeypatch.setattr(nltk.data, "path", [str(shared / "nltk_data")])
    ours = read_tagger(shared / "nltk_data")
    lines = (shared / "data" / "textfooler" / "mr" / "test.jsonl").read_bytes().splitlines()
    texts = [json.loads(line)["text"].split() for line in lines[:100]]
    for words in texts:
        theirs = [tag for _, tag in nltk.pos_tag(words, tagset="universal")]
        assert [ours.tag(words, place) for place in range(len(words))] == theirs


def test_a_missing_tagger_is_said(tmp_path):
    with pytest.raises(BenchError, match="a file of the tagger is missing") as error:
        read_tagger(tmp_path)
    assert "--nltk-data" in str(error.value)


def test_a_tagger_of_another_format_is_said(nltk_data, tmp_path):
    import shutil

    folder = shutil.copytree(nltk_data, tmp_path / "copy")
    file = next(folder.rglob("*tagdict.json"))
    file.write_text("{", "utf-8")
    with pytest.raises(BenchError, match="cannot be read"):
        read_tagger(folder)
