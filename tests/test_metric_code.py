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


@pytest.mark.parametrize("name", ["mine", "./mine", "mine/mine.py"])
def test_a_task_file_runs_no_script_unless_a_flag_says_so(bench, tmp_path, name):
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
    (tmp_path / "t.toml").write_text(TASK.replace("NAME", name), "utf-8")
    run = (
        "run",
        "--methods",
        "majority",
        "--tasks",
        "t.toml",
        "--seeds",
        "13",
        "--k",
        "4",
        "--results",
        "r",
    )
    for command in (run, (*run, "--dry-run"), ("validate", "t.toml")):
        done = bench(*command, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "--allow-metric-code" in done.stdout + done.stderr
        assert not marker.exists() and not (tmp_path / "r").exists()
    if name != "mine":  # a name alone is never a folder
        allowed = ("--allow-metric-code",)
        assert bench("validate", "t.toml", "--k", 4, *allowed, cwd=tmp_path).returncode == 0
        assert not marker.exists()
        home = {**os.environ, "HF_HOME": str(tmp_path / "hf")}  # evaluate copies scripts there
        done = bench(*run, *allowed, "--json", cwd=tmp_path, env=home)
        assert done.returncode == 0, done.stderr
        assert {row["mean"] for row in json.loads(done.stdout)} == {25.0} and marker.exists()
