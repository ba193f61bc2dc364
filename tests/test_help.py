"""The help of every command: it fits 80 columns, loses no text, and its examples are commands that
there are.
"""

from __future__ import annotations

import os
import shlex
import warnings

import pytest

import fewbench

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
    import typer

    from fewbench.cli import app

GROUP = typer.main.get_command(app)
COMMANDS = sorted(GROUP.commands)


def examples(name):
    lines = (GROUP.commands[name].epilog or "").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("bench")]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("data", "export")])
def test_examples_are_commands_that_there_are(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert examples(name)
    for example in examples(name):
        program, command, *arguments = shlex.split(example)
        assert (program, command) == ("bench", name)
        GROUP.commands[name].make_context(name, arguments)  # parses them, and runs nothing


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_renders_in_80_columns(bench, name):
    for option in ("-h", "--help"):
        done = bench(*name.split(), option)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert max(map(len, lines)) <= 80
        assert "\\[" not in done.stdout
        assert not [
            line for line in lines if line.endswith("...") and not line.startswith("Usage:")
        ]


def test_version(bench):
    assert bench("--version").stdout == f"bench {fewbench.__version__}\n"
    assert fewbench.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fewbench.nothing


def test_a_shell_completes_commands(bench):
    asked = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench le", "COMP_CWORD": "1"}
    assert bench(env=os.environ | asked).stdout.split() == ["leaderboard"]
    assert "--install-completion" in bench("-h").stdout


@pytest.mark.parametrize("name", ["", "data", "export"])
def test_a_command_alone_shows_its_help(bench, name):
    done = bench(*name.split())
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: bench")
    assert not done.stderr
