"""The workflow on a pull request of records: what it checks, and what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
import yaml
from conftest import PROJECT
from stores import add, change, demo, theirs  # noqa: F401

WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))


def check(base, head, comment):
    script = PROJECT / "scripts" / "results_pull_request.py"
    command = [sys.executable, script, base, head, "--comment", comment, "--against", "majority"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert comment.exists(), done.stderr
    return done.returncode, comment.read_text("utf-8")


@pytest.fixture
def base(tmp_path):
    return tmp_path / "base"


def test_new_records_are_checked_and_shown(add, theirs, base, tmp_path):
    for folder in (base, theirs):
        add(13, folder=folder)
    add(21, first=1)
    code, text = check(base, theirs, tmp_path / "c.md")
    assert code == 0, text
    assert "1 whole records, 0 problems" in text and "### New numbers" in text
    assert "| majority" in text


def test_a_removed_or_forged_record_is_refused_and_a_replaced_one_is_named(
    add, theirs, base, tmp_path
):
    add(13, folder=base), add(21, folder=base)
    change(add(13), warnings=("another",))
    code, text = check(base, theirs, tmp_path / "c.md")
    assert code == 1 and "is removed" in text and "say why it differs" in text
    add(21)
    code, text = check(base, theirs, tmp_path / "c.md")
    assert code == 0 and "1 whole records, 0 problems" in text and "say why it differs" in text
    forged = tmp_path / "forged"
    file = add(21, folder=forged)
    file.write_text(file.read_text("utf-8").replace("accuracy", "acurracy"), "utf-8")
    code, text = check(tmp_path / "none", forged, tmp_path / "d.md")
    assert code == 1 and "checksum" in text


def test_nothing_new(add, base, tmp_path):
    add(13, folder=base)
    assert check(base, base, tmp_path / "c.md") == (0, "This pull request adds no records.\n")


def steps():
    for file in WORKFLOWS:
        content = yaml.safe_load(file.read_text("utf-8"))
        for job in content["jobs"].values():
            for step in job["steps"]:
                yield file, content, step


def test_workflows_name_commands_and_files_that_there_are(bench):
    assert [file.stem for file in WORKFLOWS] == [
        "board",
        "docs",
        "results-check",
        "results-comment",
    ]
    for file, content, step in steps():
        assert content["permissions"], file
        assert "pull_request_target" not in content[True]
        run = step.get("run", "")
        assert "${{" not in run, "text of others could be a command"
        for path in re.findall(r"\S*(?:scripts/\S+\.py|constraints\S*\.txt)", run):
            assert (PROJECT / path.removeprefix("base/")).is_file(), path
        for line in re.findall(r"^bench (.+)$", run, re.MULTILINE):
            name, *words = shlex.split(line)
            helped = bench(name, "--help").stdout
            assert all(word in helped for word in words if word.startswith("--")), line
