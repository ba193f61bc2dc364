"""Declarations of methods as plain data, for their pages on the board's site and in the docs.

Everything is read from a method's source and from the registry. Nothing is imported or run.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fewbench.registry.groups import method_groups
from fewbench.registry.methods import FOLDER, MethodInfo
from fewbench.registry.named_inputs import names_input
from fewbench.registry.papers import Paper, papers_in
from fewbench.registry.settings import allowed_values


@dataclass(frozen=True, slots=True)
class SettingDeclaration:
    """A setting: its default as `--methods` takes it, what it may be, and what is searched."""

    name: str
    default: str
    allowed: str
    searched: str


@dataclass(frozen=True, slots=True)
class PresetDeclaration:
    """A preset: what it is typed as, and the settings that it stands for."""

    typed: str
    settings: str


@dataclass(frozen=True, slots=True)
class MethodDeclaration:
    """A method as its file declares it.

    `summary` is one line; `paragraphs` are the rest of its description: equations and departures
    from the paper. `citation` is as declared, and `papers` are those that it names. `file` is
    relative to the checkout. `teacher` is the method that trains its teacher, if any; `pipelines`
    are those that it begins, and `groups` those that it belongs to. `command` is one that runs it;
    a word in capitals stands for a model or file of the user's.
    """

    name: str
    summary: str
    paragraphs: tuple[str, ...]
    citation: str
    papers: tuple[Paper, ...]
    file: str
    needs: tuple[str, ...]
    kinds: tuple[str, ...]
    backbones: tuple[str, ...]
    settings: tuple[SettingDeclaration, ...]
    presets: tuple[PresetDeclaration, ...]
    pipelines: tuple[str, ...]
    groups: tuple[str, ...]
    teacher: str
    is_step: bool
    command: str


def declarations(methods: Mapping[str, MethodInfo]) -> list[MethodDeclaration]:
    """Return the declaration of every method, by name."""
    return [declaration(methods[name]) for name in sorted(methods)]


def declaration(method: MethodInfo) -> MethodDeclaration:
    """Return the declaration of a method."""
    teacher = method.settings.get("teacher", "")
    return MethodDeclaration(
        name=method.name,
        summary=method.summary,
        paragraphs=_paragraphs(method),
        citation=method.paper,
        papers=tuple(papers_in(method.paper)),
        file=_place(method),
        needs=method.needs,
        kinds=method.kinds,
        backbones=method.backbones,
        settings=tuple(_setting(method, name) for name in method.settings),
        presets=tuple(_preset(method, name) for name in method.presets),
        pipelines=method.pipelines,
        groups=tuple(_groups(method.name)),
        teacher=str(teacher) if method.trained_by else "",
        is_step=method.step,
        command=_command(method),
    )


def _paragraphs(method: MethodInfo) -> tuple[str, ...]:
    """Return a method's description after its first line, paragraph by paragraph."""
    try:
        text = ast.get_docstring(ast.parse(method.file.read_bytes())) or ""
    except (OSError, SyntaxError, ValueError):
        text = ""
    _, _, rest = text.partition("\n")
    parts = (inspect.cleandoc(part) for part in rest.split("\n\n"))
    return tuple(part for part in parts if part)


def _place(method: MethodInfo) -> str:
    """Return the place of a method's file in the checkout, or its name if it is not there."""
    folder = method.file.parent.parent if method.file.name == FOLDER else method.file.parent
    inside = method.file.relative_to(folder).as_posix()
    return f"methods/{inside}" if folder.name == "methods" else inside


def _setting(method: MethodInfo, name: str) -> SettingDeclaration:
    return SettingDeclaration(
        name, spelt(method.settings[name]), allowed_values(method, name), _searched(method, name)
    )


def _searched(method: MethodInfo, name: str) -> str:
    """Say which values of a setting are searched on dev, if any."""
    if name in method.grid:
        return ", ".join(map(spelt, method.grid[name]))
    return "by the protocol's grid" if name in method.search else ""


def _preset(method: MethodInfo, name: str) -> PresetDeclaration:
    settings = ", ".join(f"{key}={spelt(value)}" for key, value in method.presets[name].items())
    return PresetDeclaration(f"{method.name}:{name}", settings)


def spelt(value: Any) -> str:
    """Write a setting's value as `--methods` takes it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(spelt, value))}]"
    return str(value)


def _groups(name: str) -> Iterable[str]:
    for group in method_groups().values():
        if name in [member.partition(":")[0] for member in group.methods]:
            yield group.name


def _command(method: MethodInfo) -> str:
    """Return a command that runs a method on the demo tasks, with the models and files it takes."""
    own = [
        f"{name}={'FILE' if 'DataFile' in annotation else 'MODEL'}"
        for name, annotation in method.annotations.items()
        if names_input(annotation)
    ]
    typed = f"{method.name}:{','.join(own)}" if own else method.name
    return f"bench run --methods {typed} --tasks demo"
