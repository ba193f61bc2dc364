"""`--dry-run` refuses what a run refuses before anything runs, and with the same words."""

from __future__ import annotations

import json

import pytest

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
words = { good = "great", bad = "BAD" }
max_length = 64

[[mood.source]]
name = "files"
folder = "."
path = "."
train = "train"
test = "test"
texts = ["text"]
label = "label"
"""


@pytest.mark.parametrize(
    ("word", "more", "problem"),
    [
        ("xylophonist", ("--methods", "in-context"), "label word"),
        ("terrible", ("--methods", "in-context:demonstrations=1"), "fewer than the 2 classes"),
        ("terrible", ("--methods", "truncate:layers=99"), "layers"),
        ("terrible", ("--methods", "ft", "--device", "tpu"), "device"),
    ],
)
def test_a_dry_run_refuses_as_a_run_does(bench, tmp_path, word, more, problem):
    (tmp_path / "mood.toml").write_text(TASK.replace("BAD", word))
    for part in ("train", "test"):
        rows = [{"text": f"{part} {n}", "label": n % 2} for n in range(8)]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = (
        "run",
        *more,
        "--tasks",
        tmp_path / "mood.toml",
        "--k",
        2,
        "--seeds",
        13,
        "--protocol",
        "demo",
    )
    said = [bench(*given, "--results", tmp_path / "r", *last) for last in (("--dry-run",), ())]
    assert [done.returncode for done in said] == [2, 2]
    errors = [done.stderr[done.stderr.index("error:") :] for done in said]
    assert errors[0] == errors[1] and problem in errors[0]
    assert not list((tmp_path / "r").rglob("*.json"))
