"""Errors of a command line, in the words of all other errors."""

from __future__ import annotations

import inspect
from itertools import chain
from typing import Any

from fewbench.cli.help import argument_helps
from fewbench.errors import BenchError


def explain(error: Any, asked: str) -> BenchError:
    """Turn an error of the parser into one that names what is allowed, the nearest, and the fix.

    Args:
        error: click's, or typer's own copy of it. The classes differ, their attributes do not.
        asked: the command, where the error does not say.
    """
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context else asked
    fix = f"{command} --help"
    parameter: Any = getattr(error, "param", None)
    if type(error).__name__ == "MissingParameter" and parameter.param_type_name == "argument":
        return BenchError(
            f"{command}: {parameter.human_readable_name} is missing",
            allowed=_help_of(parameter, context),
            fix=_example(context) or fix,
        )
    unknown = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and context:
        return BenchError(
            f"{command} has no option '{unknown}'",
            allowed=_options(context),
            given=unknown,
            fix=fix,
        )
    name = _unknown_command(error, context)
    if name:
        return BenchError(
            f"{command} has no command '{name}'",
            allowed=context.command.commands,
            given=name,
            fix=fix,
        )
    return BenchError(getattr(error, "format_message", error.__str__)(), fix=fix)


def _help_of(parameter: Any, context: Any) -> str | None:
    helps = argument_helps(context.command.callback)
    found: str | None = getattr(parameter, "help", None) or helps.get(parameter.name)
    return found


def _example(context: Any) -> str | None:
    """Return the first example of a command's help."""
    lines = inspect.cleandoc(context.command.epilog or "").splitlines()
    examples = [line.strip() for line in lines if line.strip().startswith(context.command_path)]
    return examples[0] if examples else None


def _options(context: Any) -> list[str]:
    parameters = context.command.get_params(context)
    options = [parameter for parameter in parameters if parameter.param_type_name == "option"]
    names = chain.from_iterable(option.opts for option in options)
    return [name for name in names if name.startswith("--")]


def _unknown_command(error: Any, context: Any) -> str | None:
    """Return the name that a group of commands lacks; only the message has it in some versions."""
    start = "No such command '"
    text = str(getattr(error, "message", ""))
    if not text.startswith(start) or not hasattr(getattr(context, "command", None), "commands"):
        return None
    return text[len(start) :].partition("'")[0]
