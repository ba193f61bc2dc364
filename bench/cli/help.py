"""The help of a command as plain text: options in panels, for any terminal, pipe or reader."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import typer
import typer.core
import typer.models

from fewbench.cli.options import PANELS

ARGUMENTS, OPTIONS, HELP = "Arguments", "Options", "Help"
ORDER = (ARGUMENTS, OPTIONS, *PANELS, HELP)
WIDEST_NAME = 30
"""The widest option whose help stands on the same line (click's own limit)."""
GAP = 2


class PanelCommand(typer.core.TyperCommand):
    """A command whose help groups options by their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel, with the help of all options in one column."""
        panels: dict[str, list[tuple[str, str]]] = {}
        lost = argument_helps(self.callback)
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is None:
                continue
            name, text = row
            if parameter.name in lost and lost[parameter.name] not in text:
                text = f"{lost[parameter.name]}  {text}".rstrip()
            panels.setdefault(_panel(parameter), []).append((name, text))
        rows = [row for panel in panels.values() for row in panel]
        column = _name_width(rows) + GAP
        for title in sorted(panels, key=ORDER.index):
            with formatter.section(title):
                formatter.write_dl(panels[title], col_spacing=column - _name_width(panels[title]))


def argument_helps(callback: Any) -> dict[str, str]:
    """Return the help of a command's arguments as declared.

    With click 8.5, typer loses them: click's own argument has a help too, and sets it to None.
    """
    helps = {}
    for name, hint in get_type_hints(inspect.unwrap(callback), include_extras=True).items():
        for info in getattr(hint, "__metadata__", ()):
            if isinstance(info, typer.models.ArgumentInfo) and info.help:
                helps[name] = info.help
    return helps


def _panel(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return ARGUMENTS
    if "--help" in parameter.opts:
        return HELP
    return getattr(parameter, "rich_help_panel", None) or OPTIONS


def _name_width(rows: list[tuple[str, str]]) -> int:
    """Return the width of the widest name, as far as the help starts beside it."""
    return min(max(len(name) for name, _ in rows), WIDEST_NAME)


def add_command(
    to: typer.Typer, name: str, command: Callable[..., None], summary: str, *examples: str
) -> None:
    """Register a command with its line in `bench --help` and the examples below its own help."""
    epilog = "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)])
    to.command(name, cls=PanelCommand, short_help=summary, epilog=epilog)(command)
