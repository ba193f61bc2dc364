"""Declarations: what a table becomes, and that each mistake is refused where it stands."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from fewbench.data.task_file import Suite, declared, load_file, with_source
from fewbench.errors import BenchError
from fewbench.registry.methods import task_files

TASK = """
[mood]
title = "Mood"
paper = "none"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["bad", "good"]
metric = "accuracy"
template = "{0} It was {mask}."
words = { good = ["great", "fine"], bad = "terrible" }
max_length = 64
"""
SOURCE = """
[[mood.source]]
name = "files"
folder = "data"
path = "mood"
train = "train"
test = "test"
texts = ["text"]
label = "label"
"""
HUB = """
[[mood.source]]
name = "hub"
path = "owner/mood"
config = "plain"
revision = "0123456789abcdef0123456789abcdef01234567"
train = "train"
test = "validation"
texts = ["sentence"]
label = "label"
values = ["no", "yes"]
"""
VALUES = {'metric = "accuracy"': 'metric = "pearson"', "max_length": "bounds = [0, 5]\nmax_length"}
CHOICE = {
    '"single"': '"choice"',
    '"{0} It': '"{0} {1} {options} It',
    '["text"]': '["passage", "question"]',
    'label = "label"': 'label = "label"\noptions = "options"',
}


@pytest.fixture
def write(tmp_path):
    """Write a task file, some of its text replaced."""

    def write(replaced=None, text=TASK + SOURCE, name="moods.toml"):
        for old, new in (replaced or {}).items():
            assert old in text, old
            text = text.replace(old, new, 1)
        file = tmp_path / name
        file.write_text(text, "utf-8")
        return file

    return write


def refusal(file):
    with pytest.raises(BenchError) as caught:
        declared([file])
    return str(caught.value)


def test_a_table_becomes_a_task(write, tmp_path):
    file = write(text=TASK + SOURCE + HUB)
    loaded = load_file(file)
    task = loaded.tasks["mood"]
    assert (task.name, task.version, task.max_length, task.rule, task.bounds) == (
        "mood",
        1,
        64,
        "shuffle",
        None,
    )
    assert task.words == (
        ("terrible",),
        ("great", "fine"),
    )  # in the labels' order, whatever the table's
    own, hub = task.sources
    assert (own.root, own.path, own.config, own.hub) == (tmp_path / "data", "mood", "", False)
    assert (hub.root, hub.config, hub.hub, hub.values) == (None, "plain", True, ("no", "yes"))
    assert task.file == str(file)
    assert loaded.suite == Suite("moods", "moods", ("mood",))


def test_a_regression_and_a_choice(write):
    task = load_file(write(VALUES)).tasks["mood"]
    assert (task.bounds, task.is_regression) == ((0.0, 5.0), True)
    choice = load_file(write(CHOICE)).tasks["mood"]
    assert choice.source.options == "options"


def test_a_suite_may_name_tasks_of_other_files(write):
    first = write(text=TASK + SOURCE + HUB)
    second = write(
        text='[suite]\nname = "all-moods"\ntitle = "Moods"\ntasks = ["mood@hub"]\n', name="b.toml"
    )
    known = declared([second, first])
    assert known.suites["all-moods"] == Suite("all-moods", "Moods", ("mood@hub",))
    assert list(known.tasks) == ["mood"]


def test_another_source_comes_first(write):
    task = load_file(write(text=TASK + SOURCE + HUB)).tasks["mood"]
    other = with_source(task, "hub")
    assert (task.full_name, other.full_name) == ("mood@files", "mood@hub")
    assert set(other.sources) == set(task.sources)
    with pytest.raises(BenchError) as caught:
        with_source(task, "hubb")
    assert "nearest: mood@hub" in str(caught.value)
    assert "allowed: mood@files, mood@hub" in str(caught.value)


MISTAKES = {
    "an unknown key": (
        {"max_length": "tilte = 1\nmax_length"},
        "[mood]",
        "unknown key 'tilte'",
        "nearest: title",
    ),
    "a misspelt key": (
        {'title = "Mood"': 'tilte = "Mood"'},
        "[mood] title",
        "the key 'title' is missing; there is 'tilte'",
    ),
    "a missing key": ({'title = "Mood"\n': ""}, "[mood] title", "the key 'title' is missing"),
    "a wrong type": (
        {"version = 1": 'version = "1"'},
        "[mood] version",
        "'version' is '1'",
        "allowed: a int",
    ),
    "a boolean version": ({"version = 1": "version = true"}, "[mood] version", "'version' is True"),
    "an empty text": ({'paper = "none"': 'paper = " "'}, "[mood] paper", "'paper' is empty"),
    "version 0": ({"version = 1": "version = 0"}, "[mood] version", "'version' is 0"),
    "no length": ({"max_length = 64": "max_length = 0"}, "[mood] max_length", "'max_length' is 0"),
    "an unknown format": (
        {'"single"': '"singel"'},
        "[mood] format",
        "unknown format 'singel'",
        "nearest: single",
    ),
    "an unknown metric": (
        {'"accuracy"': '"acuracy"'},
        "[mood] metric",
        "nearest: accuracy",
        "evaluate:NAME",
    ),
    "an unknown further metric": (
        {"max_length": 'metrics = ["f2"]\nmax_length'},
        "metrics",
        "unknown metric 'f2'",
    ),
    "a correlation of classes": (
        {'"accuracy"': '"pearson"'},
        "[mood] metric",
        "bounds = [0.0, 5.0]",
    ),
    "accuracy of values": (
        VALUES | {'metric = "accuracy"': 'metric = "mcc"'},
        "[mood] metric",
        "one of pearson",
    ),
    "F1 of three": (
        {
            '"bad", "good"': '"bad", "good", "so"',
            "bad = ": 'so = "okay", bad = ',
            '"accuracy"': '"f1"',
        },
        "[mood] metric",
        '"macro_f1"',
    ),
    "one label": ({'"bad", "good"': '"good"'}, "[mood] labels", "two or more"),
    "a label twice": (
        {'"bad", "good"': '"good", "good"'},
        "[mood] labels",
        "two or more different names",
    ),
    "no word": (
        {', bad = "terrible"': ""},
        "[mood] words",
        "the label 'bad' has no word",
        'words = { bad = "…" }',
    ),
    "a word for no label": (
        {"bad = ": "bda = "},
        "[mood] words",
        "unknown label 'bda'",
        "nearest: bad",
    ),
    "one word for two": (
        {"terrible": "fine"},
        "[mood] words",
        "'good' and 'bad' have the same word 'fine'",
    ),
    "a word twice": ({'"great", "fine"': '"fine", "fine"'}, "[mood] words", "different words"),
    "a word of nothing": ({'"terrible"': '""'}, "[mood] words", "the words of 'bad' are ['']"),
    "a word with a space": ({'"terrible"': '" terrible"'}, "[mood] words", "without spaces around"),
    "a list of no words": (
        {'["great", "fine"]': "[]"},
        "[mood] words",
        "the words of 'good' are []",
    ),
    "a number for a word": ({'"terrible"': "1"}, "[mood] words", "the words of 'bad' are 1"),
    "no mask": ({"{mask}": "good"}, "[mood] template", "no masks", "exactly one {mask}"),
    "two masks": ({"{mask}": "{mask} {mask}"}, "[mood] template", "2 masks"),
    "a text too many": ({"{0} It": "{0} {1} It"}, "[mood] template", "does not use exactly {0}"),
    "no text": ({"{0} It": "It"}, "[mood] template", "does not use exactly {0}"),
    "options of no choice": (
        {"{0} It": "{0} {options} It"},
        "[mood] template",
        "belongs in the template of a choice",
    ),
    "a choice without": (
        CHOICE | {'"{0} It': '"{0} {1} It'},
        "[mood] template",
        "template of a choice",
    ),
    "a choice of values": (
        CHOICE | {"max_length": "bounds = [0, 1]\nmax_length"},
        "bounds",
        "a choice has no bounds",
    ),
    "bounds reversed": (
        VALUES | {"max_length": "bounds = [5, 0]\nmax_length"},
        "[mood] bounds",
        "[5, 0]",
    ),
    "one bound": (VALUES | {"max_length": "bounds = [5]\nmax_length"}, "[mood] bounds", "[5]"),
    "an infinite bound": (
        VALUES | {"max_length": "bounds = [0, inf]\nmax_length"},
        "[mood] bounds",
        "inf",
    ),
    "bounds of text": (
        VALUES | {"max_length": 'bounds = ["0", "5"]\nmax_length'},
        "[mood] bounds",
        "'0'",
    ),
    "bounds of three": (
        VALUES | {'"bad", "good"': '"bad", "good", "so"', "bad = ": 'so = "okay", bad = '},
        "[mood] labels",
        "regression has 3 labels",
    ),
    "an unknown rule": (
        {"max_length": 'rule = "chain"\nmax_length'},
        "[mood] rule",
        "nearest: chained",
    ),
    "a name in capitals": (
        {"[mood]": "[Mood]", "[[mood.": "[[Mood."},
        "'Mood' is not a valid task name",
    ),
    "a name with a blank": (
        {"[mood]": '["a b"]', "[[mood.": '[["a b".'},
        "'a b' is not a valid task name",
    ),
    "no source": ({SOURCE: ""}, "[mood] source", "the key 'source' is missing"),
    "an empty list of sources": ({SOURCE: "source = []"}, "[mood] source", "a task needs a source"),
    "a source that is no list": ({"[[mood.source]]": "[mood.source]"}, "[mood] source", "a list"),
    "an unknown key of a source": ({"label = ": "lable = "}, "[mood.source] label"),
    "a source's bad name": (
        {'"files"': '"My files"'},
        "[mood.source] name",
        "not a valid source name",
    ),
    "two text columns": (
        {'["text"]': '["a", "b"]'},
        "[mood.source] texts",
        "2 text columns",
        "1 for the format",
    ),
    "an options column": (
        {'label = "label"': 'label = "label"\noptions = "o"'},
        "[mood.source] options",
    ),
    "train for a test": (
        {'test = "test"': 'test = "train"'},
        "[mood.source] test",
        "are the same split",
    ),
    "too many values": (
        {'label = "label"': 'label = "label"\nvalues = ["a"]'},
        "[mood.source] values",
        "2 different",
    ),
    "a value twice": (
        {'label = "label"': 'label = "label"\nvalues = ["a", "a"]'},
        "[mood.source] values",
    ),
    "values of two kinds": (
        {'label = "label"': 'label = "label"\nvalues = ["a", 1]'},
        "[mood.source] values",
    ),
    "values of yes and no": (
        {'label = "label"': 'label = "label"\nvalues = [true, false]'},
        "[mood.source] values",
    ),
    "a folder on the hub": (
        {'label = "label"': 'label = "label"\nhub = true'},
        "[mood.source] hub",
        "hub = false",
    ),
    "no revision": (
        {'folder = "data"': ""},
        "[mood.source] revision",
        "a commit of 40 hexadecimal digits",
    ),
    "a branch": ({'folder = "data"': 'revision = "main"'}, "[mood.source] revision", "pinned"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_where_it_stands(mistake, write):
    replaced, *parts = MISTAKES[mistake]
    file = write(replaced)
    message = refusal(file)
    assert str(file) in message
    assert not [part for part in parts if part not in message], message


@pytest.mark.parametrize("key", ["path", "config", "train", "test"])
@pytest.mark.parametrize(
    "value", ["../secret", "a/../../secret", "/etc/passwd", r"..\\secret", r"a\u0000"]
)
def test_a_path_that_leaves_its_folder_is_refused(key, value, write):
    line = re.compile(rf'^{key} = ".*"\n', re.M)
    text = line.sub("", SOURCE) + f'{key} = "{value}"\n'
    message = refusal(write(text=TASK + text))
    assert f"[mood.source] {key}" in message
    assert f"'{key}' leads outside its folder" in message


def test_two_sources_of_one_name(write):
    assert "two sources are called 'files'" in refusal(write(text=TASK + SOURCE + SOURCE))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mood = 1", "this is not a table"),
        ("suite = 1", "this is not a table"),
        ('[suite]\ntasks = ["moood"]', "nearest: mood"),
        ('[suite]\ntasks = ["mood@hub"]', "task 'mood' has no source 'hub'"),
        ("[suite]\ntasks = [1]", "'tasks' is [1]"),
        ('[suite]\ntitel = "Moods"', "nearest: title"),
        ("[suite", "not TOML"),
        ("[a]\nx = 1\n[a]\nx = 2\n", "not TOML"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole(text, message, write):
    first, second = write(), write(text=text, name="other.toml")
    with pytest.raises(BenchError) as caught:
        declared([first, second])
    assert message in str(caught.value)
    assert "other.toml" in str(caught.value) or "no source" in message


def test_a_name_in_two_files_names_both(write):
    files = [write(), write(name="others.toml")]
    with pytest.raises(BenchError) as caught:
        declared(files)
    assert "two tasks are called 'mood'" in str(caught.value)
    assert all(str(file) in str(caught.value) for file in files)


def test_two_suites_of_one_name_name_both(write):
    files = [write(), write(text='[suite]\nname = "moods"\ntasks = ["mood"]', name="others.toml")]
    with pytest.raises(BenchError) as caught:
        declared(files)
    assert "two suites are called 'moods'" in str(caught.value)
    assert all(str(file) in str(caught.value) for file in files)


def test_no_such_file_and_no_text(tmp_path):
    assert "no such task file" in refusal(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(tmp_path / "bytes.toml")


def test_a_metric_of_the_hub_is_taken(write):
    assert (
        load_file(write({'"accuracy"': '"evaluate:brier_score"'})).tasks["mood"].metric
        == "evaluate:brier_score"
    )


def own():
    return declared(task_files())


def test_own_suites():
    known = own()
    assert set(known.suites) >= {"demo", "glue", "lm-bff", "sentiment"}
    demo = [known.tasks[name] for name in known.suites["demo"].tasks]
    assert [(task.format, task.is_regression) for task in demo] == [
        ("single", False),
        ("pair", False),
        ("pair", True),
        ("choice", False),
    ]
    assert all(
        source.root is not None and not source.hub for task in demo for source in task.sources
    )


def test_declarations_load_without_the_heavy_libraries():
    code = (
        "import sys; from fewbench.data.task_file import declared; from fewbench.registry.methods import task_files;"
        "assert declared(task_files()).tasks;"
        "print([m for m in ('torch', 'numpy', 'pandas', 'datasets', 'sklearn', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
