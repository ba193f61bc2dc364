"""The bare form of texts, by which test rows are held against train and dev: what carries meaning
stays in it.
"""

from __future__ import annotations

import json
from itertools import combinations

import pytest

from fewbench.data.bare_text import bare
from fewbench.data.leaks import count_leaks, counted, texts_of
from fewbench.data.reader import read_rows
from fewbench.data.split import make_split
from fewbench.data.task_file import load_file
from fewbench.types import Example

OTHERS = [
    ("🙂", "🙁", "😡", "👍", "👎"),
    ("good 🙂", "good 🙁", "good"),
    ("👨‍👩‍👧", "👨👩👧"),
    ("👍🏻", "👍🏿"),
    ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"),
    ("🇩🇪", "🇫🇷"),
    (":)", ":(", ";)"),
    ("great :-)", "great :-(", "great"),
    ("=)", "=("),
    ("oh (: well", "oh ): well"),
    ("C++", "C#", "C"),
    ("x > 3", "x < 3", "x = 3", "x != 3", "x >= 3"),
    ("x + y", "x - y", "x * y", "x / y"),
    ("a*b", "a/b"),
    ("5 - 3", "5 + 3", "5 * 3", "5 / 3"),
    ("-1", "1", "+1"),
    ("−1", "1"),
    ("y = -x", "y = x"),
    ("p → q", "p ← q", "p ↔ q"),
    ("p ∧ q", "p ∨ q", "p q"),
    ("3.5", "35", "3 5"),
    ("10:30", "1030"),
    ("$5", "€5", "5"),
    ("p || q", "p && q", "p q"),
    ("50%", "50"),
    ("!", "?", "…", "."),
    ("मिला", "मेला", "माला"),
    ("กา", "กี"),
    ("résumé", "resume"),
    ("H2O", "H20"),
]
SAME = [
    (
        "good movie .",
        "good movie",
        "Good movie!",
        "  good\tmovie",
        "“good movie”",
        "good, movie",
        "*good* movie",
    ),
    ("it's good", "it 's good", "it´s good", "it’s good"),
    ("`` good ''", '"good"', "good"),
    ("covid-19", "covid 19", "COVID–19"),
    ("x>3", "x > 3"),
    ("5−3", "5-3", "5–3"),
    ("❤️", "❤", "❤︎"),
    ("good\u200b movie", "good movie", "\ufeffgood movie"),
    ("ｇｏｏｄ", "good"),
    ("Straße", "STRASSE"),
    ("re\u0301sume\u0301", "résumé"),
    ("这很好。", "这很好", "这很好～"),
    ("news | sport", "news: sport", "news ｜ sport"),
]


@pytest.mark.parametrize("texts", OTHERS, ids=str)
def test_texts_of_another_meaning_stay_apart(texts):
    assert [(a, b) for a, b in combinations(texts, 2) if bare(a) == bare(b)] == []


@pytest.mark.parametrize("texts", SAME, ids=str)
def test_texts_set_in_another_way_are_one(texts):
    assert len(set(map(bare, texts))) == 1


def test_only_an_empty_text_has_an_empty_bare_form():
    assert all(map(bare, ("...", "?!", "—", "'", "( )", "`", "\u200d"))) and not bare(" ")


def test_rows_of_signs_are_leaks_of_themselves_alone():
    seen = [Example("train-0", ("🙂",)), Example("train-1", ("?",)), Example("train-2", ("C#",))]
    test = [
        Example(f"test-{n}", (text,))
        for n, text in enumerate(("🙂", "🙁", "!", "?", "c#.", "C++", "C"))
    ]
    assert count_leaks(seen, counted(texts_of(test))) == {
        "exact": 2,
        "normalised": 3,
        "within_test": 0,
    }


@pytest.mark.parametrize("name", ["emoji", "hindi", "maths"])
def test_rows_of_other_texts_are_no_leaks(shared, name):
    (task,) = load_file(
        shared / "cases" / "08-leak-filter-eats-emoji-and-hindi" / f"{name}.toml"
    ).tasks.values()
    rows = read_rows(task, None)
    assert make_split(task, rows, 2, 13).leaks["normalised"] == 0
    texts = [json.dumps(example.texts) for example in (*rows.train, *rows.test)]
    assert len({bare(text) for text in texts}) == len(set(texts))
