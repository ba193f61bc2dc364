"""Choices as real data gives them: lists of options, letters, one text or two, fewer options than
labels.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fewbench.data.reader import read_rows
from fewbench.data.task_file import declared
from fewbench.data.template import render
from fewbench.errors import BenchError, DataError
from fewbench.testing import toy_task
from fewbench.types import Source

SOURCE = Source(
    "files", "", "", "train", "test", ("question",), "answer", options="choices", hub=False
)
TASK = toy_task("choice", sources=(SOURCE,))
ROW = {"question": "Which?", "choices": ["x", "y", "z"], "answer": 1}


@pytest.fixture
def read(tmp_path):
    """Write one row as train and test, and read it by a source that is changed so."""

    def read(row=(), task=TASK, **changes):
        for split in ("train", "test"):
            (tmp_path / f"{split}.jsonl").write_text(json.dumps(ROW | dict(row)) + "\n", "utf-8")
        return read_rows(
            replace(task, sources=(replace(SOURCE, **changes),)), tmp_path, offline=True
        ).train[0]

    return read


def test_one_text_is_the_passage_and_the_question_is_empty(read):
    example = read()
    assert (example.texts, example.options, example.label) == (("Which?", ""), ("x", "y", "z"), 1)
    assert render("{0} {options} Answer: {mask}", example, "_") == "Which? A. x B. y C. z Answer: _"


def test_a_label_may_be_a_letter_or_the_option_itself(read):
    assert read({"answer": "C"}, values=("A", "B", "C")).label == 2
    assert read({"answer": "z"}, values="options").label == 2
    with pytest.raises(DataError, match=r"the label is 'w'\n.*\n.*allowed: x, y, z"):
        read({"answer": "w"}, values="options")


def test_fewer_options_than_labels_where_it_is_declared(read):
    lacking = {"choices": ["x", "y"]}
    example = read(lacking, may_lack_options=True)
    assert example.options == ("x", "y", "")
    assert render("{0} {options|chinese}。{mask}", example, "_") == "Which? 一、x 二、y。_"
    assert read({**lacking, "answer": "y"}, may_lack_options=True, values="options").label == 1
    with pytest.raises(DataError, match="a list of 3 different texts"):
        read(lacking)
    with pytest.raises(DataError, match="there is no such option"):
        read({**lacking, "answer": 2}, may_lack_options=True)
    with pytest.raises(DataError, match="a list of 2 to 3 different texts"):
        read({"choices": ["x"]}, may_lack_options=True)
    with pytest.raises(DataError, match="a list of 2 to 3 different texts"):
        read({"choices": ["x", "y", ""]}, may_lack_options=True)


def test_equal_options_where_it_is_declared(read):
    repeated = {"choices": ["x", "y", "y"], "answer": "y"}
    assert read(repeated, may_repeat_options=True, values="options").label == 1  # the first of them
    with pytest.raises(DataError, match="different texts"):
        read(repeated, values="options")


def test_a_text_may_be_a_list_where_it_is_declared(read):
    turns = {"question": ["One.", "Two."]}
    assert read(turns, join="\n").texts[0] == "One.\nTwo."
    assert read(join="\n").texts[0] == "Which?"
    for refused in (turns, {"question": [1]}, {"question": []}):
        with pytest.raises(DataError, match="'question' is"):
            read(refused, join=None if refused is turns else " ")


def test_rows_of_some_labels_are_left_out(tmp_path):
    lines = [ROW | {"answer": answer} for answer in (0, -1, 2)]
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = read_rows(replace(TASK, sources=(replace(SOURCE, drop=(-1,)),)), tmp_path, offline=True)
    assert [(e.id, e.label) for e in rows.train] == [("train-0", 0), ("train-2", 2)]
    assert rows.files[0]["rows"] == 3
    with pytest.raises(DataError, match="no rows"):
        read_rows(
            replace(TASK, sources=(replace(SOURCE, drop=(-1, 0, 2)),)), tmp_path, offline=True
        )


DECLARED = """
[quiz]
title = "Quiz"
paper = "none"
licence = "Apache-2.0"
version = 1
format = "choice"
labels = ["A", "B"]
metric = "accuracy"
template = "{0} {options} {mask}"
words = { A = "A", B = "B" }
max_length = 64

[[quiz.source]]
name = "files"
path = "quiz"
train = "train"
test = "test"
texts = ["question"]
join = [" "]
options = "choices"
label = "answer"
values = "options"
drop = [-1]
hub = false
"""

MISTAKES = {
    "a passage that is not there": ({"{0}": "{0} {1}"}, "does not use exactly {0}"),
    "three texts": ({'["question"]': '["a", "b", "c"]'}, "allowed: 1 or 2 for the format choice"),
    "no options": ({'options = "choices"': ""}, "a choice needs the column of its options"),
    "another word for values": ({'values = "options"': 'values = "letters"'}, "'values' is 'letters'"),
    "values of no choice": ({'"choice"': '"single"', "{options} ": "", 'options = "choices"': ""}, "'values' is"),
    "a flag of no choice": (
        {'"choice"': '"single"', "{options} ": "", 'options = "choices"': "may_lack_options = true"},
        "'may_lack_options' belongs to the format choice",
    ),
    "a bare join": ({'join = [" "]': 'join = ", "'}, "'join' is ', '"),
    "two joins": ({'join = [" "]': 'join = [" ", "-"]'}, "one string in brackets"),
    "a drop of two kinds": ({"drop = [-1]": 'drop = [-1, "-"]'}, "'drop' is [-1, '-']"),
    "too many options": ({'["A", "B"]': str([str(n) for n in range(17)])}, "a choice of 17 options"),
    "sources that differ": (
        {"hub = false": 'hub = false\n[[quiz.source]]\nname = "b"\npath = "b"\ntrain = "train"\ntest = "test"\n'
         'texts = ["p", "q"]\noptions = "c"\nlabel = "l"\nhub = false'},
        "different numbers of texts",
    ),
}  # fmt: skip


def write(tmp_path, replaced):
    text = DECLARED
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    (tmp_path / "quiz.toml").write_text(text)
    return tmp_path / "quiz.toml"


def test_a_declared_choice(tmp_path):
    source = declared([write(tmp_path, {})]).tasks["quiz"].source
    assert (source.join, source.values, source.drop, source.texts) == (
        " ",
        "options",
        (-1,),
        ("question",),
    )


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused(mistake, tmp_path):
    replaced, message = MISTAKES[mistake]
    with pytest.raises(BenchError) as caught:
        declared([write(tmp_path, replaced)])
    assert message in str(caught.value)
