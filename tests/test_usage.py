"""Slips in a command line: what is allowed, the nearest name, and what to type."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
    from fewbench import cli


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "ls",
            "error: bench ls: KIND is missing\n"
            "  allowed: runs, tasks, methods, groups, suites, models, protocols or figures\n"
            "  fix: bench ls methods\n",
        ),
        (
            "validate",
            "error: bench validate: FILE... is missing\n"
            "  allowed: tasks or protocols (.toml), methods (.py), records (.json)\n"
            "  fix: bench validate my-task.toml my_method.py\n",
        ),
        (
            "export modle x",
            "error: bench export has no command 'modle'\n"
            "  nearest: model\n"
            "  allowed: card, csv, eee, eval-results, model, schema\n"
            "  fix: bench export --help\n",
        ),
        ("run --k", "error: Option '--k' requires an argument.\n  fix: bench run --help\n"),
    ],
)
def test_a_slip_is_answered_with_what_to_type(monkeypatch, capsys, line, said):
    assert (answered(monkeypatch, line), capsys.readouterr().err) == (2, said)


@pytest.mark.parametrize(
    ("line", "problem", "nearest"),
    [
        ("tabel", "bench has no command 'tabel'", "table"),
        ("table --taks x", "bench table has no option '--taks'", "--tasks"),
    ],
)
def test_the_nearest_name_is_said_once(monkeypatch, capsys, line, problem, nearest):
    assert answered(monkeypatch, line) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"error: {problem}"
    assert said[1].startswith(f"  nearest: {nearest}")
    assert nearest in said[2].partition("allowed: ")[2].split(", ")


@pytest.mark.parametrize("command", [(), ("data",)])
def test_a_reader_of_the_help_that_goes_away_sees_no_traceback(command):
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "fewbench", *command]
    done = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def answered(monkeypatch, line):
    monkeypatch.setattr(sys, "argv", ["bench", *line.split()])
    return cli._guarded()
