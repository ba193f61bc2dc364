"""Bad input, one by one on a small mirror: each is refused with its place and mend, and nothing is
half-done.
"""

from __future__ import annotations

import hashlib
import json
import warnings

import pytest

from fewbench.data.manifest import ManifestEntry, as_bytes
from fewbench.errors import BenchError

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
words = { bad = "terrible", good = "great" }
max_length = 64

[[mood.source]]
name = "files"
path = "owner/mood"
train = "train"
test = "test"
texts = ["text"]
label = "label"
hub = false
"""


@pytest.fixture
def mirror(tmp_path):
    """A mirror of one task, the task's file beside it, and a results folder that is not there yet."""
    folder = tmp_path / "data/owner/mood"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        rows = [json.dumps({"text": f"{split} {n}", "label": n % 2}) for n in range(12)]
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "mood.toml").write_text(TASK)
    return tmp_path


def cli(*arguments: object) -> str:
    """Run the command line in this process, and return what it says when it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of click, in typer
        from typer.testing import CliRunner

        from fewbench.cli import app
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code != 0
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, BenchError), repr(result.exception)
        return str(result.exception)
    return result.stdout + result.stderr


def validate(mirror, *more) -> str:
    return cli("validate", mirror / "mood.toml", "--data", mirror / "data", "--k", "2", *more)


def run(mirror, *more) -> str:
    given = [
        "run",
        "--tasks",
        mirror / "mood.toml",
        "--methods",
        "prompt-ft",
        "--k",
        "2",
        "--seeds",
        "13",
    ]
    places = ["--data", mirror / "data", "--results", mirror / "results", "--offline"]
    said = cli(*given, *places, *more)
    assert not list((mirror / "results").glob("runs/**/*.json"))
    return said


def train(mirror):
    return mirror / "data/owner/mood/train.jsonl"


def third_line(text):
    def spoil(raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        lines[2] = text if isinstance(text, bytes) else text.encode()
        return b"\n".join(lines)

    return spoil


ROWS = {
    "a wrong column": (
        third_line('{"txt": "film", "label": 0}'),
        "there is no column 'text'",
        "line 3",
    ),
    "a label outside the declared": (
        third_line('{"text": "film", "label": 2}'),
        "the label is 2",
        "line 3",
    ),
    "an empty text": (third_line('{"text": " ", "label": 0}'), "'text' is empty", "line 3"),
    "bytes that are no UTF-8": (
        third_line(b'{"text": "caf\xe9", "label": 0}'),
        "not UTF-8 text (byte 0xe9)",
        "line 3",
    ),
    "an id twice": (
        lambda raw: b"".join(
            json.dumps({**json.loads(line), "id": min(n, 10)}).encode() + b"\n"
            for n, line in enumerate(raw.splitlines())
        ),
        "two rows have the id 10",
        "line 12",
    ),
    "a class absent from train": (
        lambda raw: b"".join(line + b"\n" for line in raw.splitlines() if b'"label": 1' in line),
        "class 'bad'",
        "train",
    ),
    "a file cut in mid-line": (lambda raw: raw[:-9], "may be cut short", "line 12"),
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("command", [validate, run])
def test_a_file_is_refused_with_place_and_mend(kind, command, mirror):
    spoil, problem, place = ROWS[kind]
    train(mirror).write_bytes(spoil(train(mirror).read_bytes()))
    said = command(mirror)
    assert problem in said, said
    assert "train.jsonl" in said and place in said, said
    assert "fix:" in said or "allowed" in said, said


@pytest.mark.parametrize("kind", ROWS)
def test_nothing_is_half_imported(kind, mirror, tmp_path_factory):
    spoil, problem, _ = ROWS[kind]
    train(mirror).write_bytes(spoil(train(mirror).read_bytes()))
    empty = tmp_path_factory.mktemp("empty")
    said = cli(
        "data", "import", train(mirror).parent, "--task", mirror / "mood.toml", "--data", empty
    )
    assert problem in said and "train" in said, said
    assert list(empty.rglob("*")) == []


def known(mirror, **changes) -> None:
    """Write down what the training file is known to be, as a fetch or an import does."""
    raw = train(mirror).read_bytes()
    facts = dict(
        sha256=hashlib.sha256(raw).hexdigest(),
        bytes=len(raw),
        rows=12,
        origin="import",
        revision=None,
        date="2026",
    )
    entry = ManifestEntry(**{**facts, **changes})
    (train(mirror).parent / "checksums.json").write_bytes(as_bytes({"train.jsonl": entry}))


@pytest.mark.parametrize("command", [validate, run])
def test_a_half_downloaded_file_that_ends_between_lines(command, mirror):
    known(mirror)
    lines = train(mirror).read_bytes().splitlines(keepends=True)
    train(mirror).write_bytes(
        b"".join(lines[:8])
    )  # whole lines of both classes: only its sum can tell
    said = command(mirror)
    assert "cut short since it was written" in said and "train.jsonl" in said
    assert "bench data import FOLDER --task mood@files --force" in said.replace("\n", " ")


@pytest.mark.parametrize("command", [validate, run])
def test_a_revision_that_moved(command, mirror):
    file = mirror / "mood.toml"
    file.write_text(TASK.replace("hub = false", f'revision = "{"f" * 40}"'))
    known(mirror, origin="hub", revision="e" * 40)
    said = command(mirror)
    assert f"fetched at revision {'e' * 40}, but the task pins {'f' * 40}" in said
    assert "bench data fetch mood@files" in said and "train.jsonl" in said


DECLARED = {
    "a template without a mask": ("It was {mask}.", "It was.", "has no masks", "template"),
    "two labels with one word": (
        'good = "great"',
        'good = "terrible"',
        "have the same word 'terrible'",
        "words",
    ),
}


@pytest.mark.parametrize("kind", DECLARED)
@pytest.mark.parametrize("command", [validate, run])
def test_a_declaration_is_refused_with_place_and_mend(kind, command, mirror):
    old, new, problem, key = DECLARED[kind]
    (mirror / "mood.toml").write_text(TASK.replace(old, new))
    said = command(mirror)
    assert problem in said and f"mood.toml [mood] {key}" in said, said


def test_a_label_word_of_several_tokens(mirror):
    (mirror / "mood.toml").write_text(TASK.replace('"great"', '"terribleness"'))
    said = run(mirror, "--methods", "in-context")
    assert "the label word 'terribleness' is" in said and "in-context reads one" in said, said
    assert "[mood] words" in said and "another word" in said, said


def test_a_label_word_with_a_piece_that_the_tokenizer_lacks(mirror):
    (mirror / "mood.toml").write_text(TASK.replace('"great"', '"\N{ALCHEMICAL SYMBOL FOR GOLD}"'))
    for said in (validate(mirror, "--student", "fewbench-micro"), run(mirror)):
        assert "lacks a piece of the label word" in said, said
        assert "[mood] words" in said and "another word" in said, said


def test_more_shots_than_a_class_has(mirror):
    said = run(mirror, "--k", "4")
    assert "class 'bad' has 6 training rows, and K = 4 needs 8" in said, said
    assert "mood.toml" in said and "owner/mood/train.jsonl" in said and "--k 3" in said, said
