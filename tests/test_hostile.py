"""Nothing that a record holds steers a terminal or becomes markup, whichever command prints it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from stored import a_record, some_predictions

from fewbench.store import Store
from fewbench.types import ModelRef
from fewbench.visible import steers

EVIL = "\x1b]0;x\x07\x9b31m\u202eevil\u2028\x7f<img src=x>[y](javascript:z)|`c`$\\input{x}$"
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture
def hostile(tmp_path):
    """A store in which every text of a record is hostile, one run of it failed."""
    store = Store(tmp_path / "r")
    for seed, name in ((1, EVIL), (2, EVIL), (3, FORMULA)):
        run = dict(task=name, source=name, method=name, protocol=name, template=name, seed=seed)
        run |= {"student": ModelRef(name, "", "0" * 16), "settings": {name: name}}
        record = replace(
            a_record(**run),
            scores={part: {name: 0.5} for part in ("dev", "test")},
            selection={
                "metric": name,
                "settings": {name: name},
                "trial": 0,
                "trials": [{"settings": {name: name}, "seed": 1, "dev": {name: 0.5}, "step": name}] * 2,
            },
            details={name: name, "label_words": [name]},
            environment={"device": name, "commit": name, name: name},
            warnings=(name,),
            method_code=name,
        )
        if seed == 2:
            store.save(replace(record, status="failed", error=name, scores={}, selection={}), None)
        else:
            store.save(record, some_predictions())
    (store.runs / "x").mkdir()
    (store.runs / "x" / "k1-s1-\x1b[2Jaaaaaaaa.json").write_text("{", "utf-8")
    return store


def commands(store):
    key = next(store.records()).run.key[:8]
    yield from (["table", *form] for form in ([], ["--json"], ["--rows", "task", "--columns", "method"]))
    yield from (["table", "--format", form] for form in ("markdown", "latex", "csv"))
    yield from (["table", "--with", "loyalty,cost", "--format", form] for form in ("terminal", "markdown", "csv"))
    yield from (["show", key, *form] for form in ([], ["--json"]))
    yield from (["compare", EVIL, "--against", "all"], ["table", "--methods", EVIL + "x"], ["fsck"], ["fsck", "--json"])
    yield from (
        ["loyalty", key, key],
        ["export", "card", FORMULA],
        ["plot", "seeds", "--out", str(store.root / "s.svg")],
    )
    yield ["run", "--tasks", EVIL]
    yield from (["loyalty", EVIL, key], ["cost", key], ["attack", key], ["submit", str(store.root), "--dry-run"])
    task = store.root / "mood.toml"
    task.write_text(TASK.replace("EVIL", EVIL.encode("unicode_escape").decode().replace("\\x", "\\u00")), "utf-8")
    yield from (["validate", str(task)], ["run", "--tasks", str(task), "--methods", "majority", "--dry-run"])
    yield from (["split", "mood", "--tasks", str(task)], ["ls", EVIL], ["ls", "tasks", "--tasks", str(task)])
    yield from (["leaderboard", "--out", str(store.root / "p.html"), "--title", EVIL], ["doctor", "--results", EVIL])


TASK = """
[mood]
title = "EVIL"
paper = "EVIL"
licence = "none"
version = 1
format = "single"
labels = ["EVIL", "good"]
metric = "accuracy"
template = "{0} It was {mask}."
words = { good = "good", "EVIL" = "EVIL" }
max_length = 64

[[mood.source]]
name = "EVIL"
folder = "."
path = "EVIL"
train = "train"
test = "test"
texts = ["EVIL"]
label = "label"
"""


@pytest.mark.filterwarnings("ignore")  # of libraries: typer, and matplotlib where names fill the figure
def test_no_command_prints_what_steers_a_terminal(hostile, capsys, monkeypatch):
    from fewbench.cli import main

    monkeypatch.setenv("FEWBENCH_RESULTS", str(hostile.root))
    seen = ""
    for command in commands(hostile):
        monkeypatch.setattr("sys.argv", ["bench", *command])
        with pytest.raises(SystemExit):
            main()
        printed, noted = capsys.readouterr()
        told = printed + noted
        assert not [letter for letter in told if letter != "\n" and steers(letter)], command
        assert "unexpected error" not in told, (command, told)
        assert "markdown" not in command or not ("<img" in printed or "](" in printed), printed
        seen += told
    assert r"\x1b]0;x" in seen and r"\u202e" in seen


def test_exported_csv_computes_nothing(hostile, tmp_path, bench):
    done = bench("export", "csv", "--out", tmp_path / "csv", "--results", hostile.root)
    assert done.returncode == 0, done.stderr
    for file in (tmp_path / "csv").glob("*.csv"):
        text = file.read_text("utf-8")
        assert not [letter for letter in text if letter != "\n" and steers(letter)]
        cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
        assert not [cell for cell in cells if cell[:1] in tuple("=+@\t\r")] and "'" + FORMULA in "".join(cells)


def test_a_figure_and_a_page_show_names_as_they_are(hostile, bench, tmp_path):
    for command in (("plot", "seeds", "--out", tmp_path / "s.svg"), ("leaderboard", "--out", tmp_path / "p.html")):
        done = bench(*command, "--results", hostile.root)
        assert "rror" not in done.stderr.replace("damaged", ""), done.stderr
    for name in ("s.svg", "p.html"):
        text = (tmp_path / name).read_text("utf-8")
        assert not [letter for letter in text if letter not in "\n\t" and steers(letter)] and "<img src=x>" not in text
