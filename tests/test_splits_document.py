"""docs/splits.md is what scripts/describe_splits.py writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

SCRIPT = PROJECT / "scripts" / "describe_splits.py"


def described(data: Path, *tasks: str) -> list[str]:
    command = [sys.executable, str(SCRIPT), "--data", str(data), "--tasks", *tasks]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=300, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(("task", "rows"), [("cb", 5), ("ocnli@fewclue", 5)])
def test_the_document_holds_what_the_script_writes(shared, task, rows):
    here = [line for line in described(shared / "data", task) if line.startswith(f"| {task}")]
    document = (PROJECT / "docs" / "splits.md").read_text("utf-8").splitlines()
    assert len(here) == rows
    assert here == [line for line in document if line.startswith(f"| {task}")]


def test_a_task_without_data_is_named_and_not_left_out(tmp_path):
    lines = described(tmp_path, "rte", "demo-sentiment")
    assert "- rte@glue: not in the data folder" in lines
    assert sum(line.startswith("| demo-sentiment@") for line in lines) == 5
    assert "2×16 / 2×16" in next(line for line in lines if line.startswith("| demo-sentiment@"))
