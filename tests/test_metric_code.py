"""A task file runs no code: metrics that are scripts, by the real package evaluate."""

from __future__ import annotations

import json
import os

import pytest

TASK = """
[mood]
title = "Is it a good mood?"
paper = "none: a test"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["bad", "good"]
metric = "evaluate:NAME"
template = "{0} It was {mask}."
words = { bad = "terrible", good = "great" }
max_length = 32

[[mood.source]]
name = "files"
folder = "."
path = "rows"
train = "train"
test = "test"
texts = ["text"]
label = "label"
hub = false
"""

SCRIPT = """
import pathlib

import datasets
import evaluate

pathlib.Path(MARKER).write_text("code ran")

class Mine(evaluate.Metric):
    def _info(self):
        kinds = {name: datasets.Value("int32") for name in ("predictions", "references")}
        features = datasets.Features(kinds)
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
        return {"mine": 0.25}
"""


RUN = "run --methods majority --tasks t.toml --seeds 13 --k 4 --results r".split()
ALLOWED = "--allow-metric-code"


@pytest.fixture
def marker(tmp_path):
    """A file that is there once a script has run, which lies beside rows to judge by it."""
    pytest.importorskip("evaluate")
    marker = tmp_path / "marker"
    for folder in ("mine", "rows"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mine" / "mine.py").write_text(SCRIPT.replace("MARKER", repr(str(marker))), "utf-8")
    for part, count in (("train", 24), ("test", 12)):
        rows = [
            json.dumps({"text": f"a {part} film {i} {i % 2}", "label": i % 2}) + "\n"
            for i in range(count)
        ]
        (tmp_path / "rows" / f"{part}.jsonl").write_text("".join(rows), "utf-8")
    return marker


@pytest.mark.parametrize("name", ["mine", "./mine", "mine/mine.py"])
def test_a_task_file_runs_no_script_unless_a_flag_says_so(bench, marker, tmp_path, name):
    (tmp_path / "t.toml").write_text(TASK.replace("NAME", name), "utf-8")
    for command in (RUN, (*RUN, "--dry-run"), ("validate", "t.toml")):
        done = bench(*command, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert ALLOWED in done.stdout + done.stderr
        assert not marker.exists() and not (tmp_path / "r").exists()


def test_with_the_flag_a_folder_and_a_file_are_run(bench, marker, tmp_path):
    tasks = [
        TASK.replace("mood", mood).replace("NAME", name)
        for mood, name in (("mood", "./mine"), ("temper", "mine/mine.py"))
    ]
    (tmp_path / "t.toml").write_text("".join(tasks), "utf-8")
    assert bench("validate", "t.toml", "--k", 4, ALLOWED, cwd=tmp_path).returncode == 0
    assert not marker.exists()
    home = {**os.environ, "HF_HOME": str(tmp_path / "hf")}  # evaluate copies scripts there
    done = bench(*RUN, ALLOWED, "--json", cwd=tmp_path, env=home)
    assert done.returncode == 0, done.stderr
    means = {row["task"]: row["mean"] for row in json.loads(done.stdout)}
    assert means == {"mood": 25.0, "temper": 25.0} and marker.exists()
