"""The help of every command fits 80 columns, loses no text, and its examples are commands."""

from __future__ import annotations

import os
import shlex
import warnings

import pytest
from conftest import PROJECT

import fewbench

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
    import typer

    from fewbench.cli import _asked_for, app
    from fewbench.cli.options import PANELS

GROUP = typer.main.get_command(app)


def every_command(group=GROUP, above=()):
    """Yield the words and the command of each command, those of groups included."""
    for name, command in sorted(group.commands.items()):
        words = (*above, name)
        if hasattr(command, "commands"):
            yield from every_command(command, words)
        else:
            yield words, command


COMMANDS = {" ".join(words): command for words, command in every_command()}
GROUPS = ["", *(name for name, command in GROUP.commands.items() if hasattr(command, "commands"))]


def examples(command):
    lines = (command.epilog or "").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("bench")]


def options(command):
    return [parameter for parameter in command.params if parameter.param_type_name == "option"]


def test_there_is_a_file_per_command():
    files = {file.stem for file in (PROJECT / "bench" / "cli").glob("*.py")}
    assert {name.partition(" ")[0] for name in COMMANDS} <= files


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_commands_that_there_are(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    command = COMMANDS[name]
    assert examples(command)
    for example in examples(command):
        program, *words = shlex.split(example)
        length = len(name.split())
        assert (program, " ".join(words[:length])) == ("bench", name)
        command.make_context(name, words[length:])  # parses them, and runs nothing


@pytest.mark.parametrize("name", COMMANDS)
def test_help_renders_in_80_columns(name):
    command = COMMANDS[name]
    context = command.make_context(f"bench {name}", [], resilient_parsing=True)
    context.terminal_width = 80
    text = command.get_help(context)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\\[" not in text
    assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage:")]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            assert parameter.make_metavar(context) in text
            section = text[text.index("Arguments:") :]
            assert len(section.splitlines()[1].split()) > 1, "an argument without help"


@pytest.mark.parametrize("name", [*GROUPS, "run"])
def test_both_help_options_in_a_narrow_terminal(bench, name):
    for option in ("-h", "--help"):
        done = bench(*name.split(), option, env=os.environ | {"COLUMNS": "80"})
        assert done.returncode == 0, done.stderr
        assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_breaks_no_word(name):
    """Each word of an option's help stands in the rendered help as it was written."""
    command = COMMANDS[name]
    context = command.make_context(name, [], resilient_parsing=True)
    context.terminal_width = 80
    words = set(command.get_help(context).split())
    for option in options(command):
        assert words.issuperset((option.help or "").split()), option.name
        assert {*option.opts} & words


@pytest.mark.parametrize("name", GROUP.commands)
def test_a_command_is_built_without_the_others_and_is_the_same(name):
    alone = typer.main.get_command(_asked_for([name, "--help"]))
    (built,) = alone.commands.values()
    context = typer.Context(built, info_name=f"bench {name}")
    whole = typer.Context(GROUP.commands[name], info_name=f"bench {name}")
    assert built.get_help(context) == GROUP.commands[name].get_help(whole)


@pytest.mark.parametrize("given", [[], ["--help"], ["nosuch"], ["-h", "run"]])
def test_what_names_no_command_builds_them_all(given):
    assert _asked_for(given) is app


@pytest.mark.parametrize("name", COMMANDS)
def test_options_stand_in_panels_and_examples_at_the_end(name):
    command = COMMANDS[name]
    for option in options(command):
        assert option.rich_help_panel in PANELS, option.name
    context = command.make_context(name, [], resilient_parsing=True)
    text = command.get_help(context)
    assert "Options:" not in text
    assert text.index("Help:") < text.index("Examples:")


def test_an_option_has_one_help_and_one_panel_everywhere():
    meanings = {}
    for command in COMMANDS.values():
        for option in options(command):
            for flag in option.opts:
                meanings.setdefault(flag, set()).add((option.help, option.rich_help_panel))
    meanings.pop("--recipe")  # of an attack a name, of pretraining a file of settings
    assert {flag: found for flag, found in meanings.items() if len(found) > 1} == {}


def test_version(bench):
    assert bench("--version").stdout == f"bench {fewbench.__version__}\n"
    assert fewbench.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fewbench.nothing


def test_a_shell_completes_commands(bench):
    asked = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench le", "COMP_CWORD": "1"}
    assert bench(env=os.environ | asked).stdout.split() == ["leaderboard"]
    assert "--install-completion" in bench("-h").stdout


@pytest.mark.parametrize("name", GROUPS)
def test_a_command_alone_shows_its_help(bench, name):
    done = bench(*name.split())
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: bench")
    assert not done.stderr
