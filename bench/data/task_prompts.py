"""Read the prompts in a task's table: its own template and label words, and named ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fewbench.data.template import parse_template
from fewbench.data.unified import UNIFIED, take_names, unified
from fewbench.errors import BenchError
from fewbench.io.toml import TomlTable
from fewbench.refs import NAME
from fewbench.types import Prompt, Task

OWN = "own"
"""The name of a task's own prompt in `--template`."""


def take_prompts(table: TomlTable, form: str, labels: tuple[str, ...], texts: int) -> list[Prompt]:
    """Take the prompts of a task's table: its own, the named ones, and the unified view.

    A named prompt has a template, label words, or both. The unified view is left out if the labels
    do not allow one, or the table declares its own.

    Raises:
        BenchError: a template or words do not fit the task, or a name is not valid.
    """
    own = Prompt("", _template(table, form, texts), _words(table, labels))
    prompts = [own]
    for name, content in table.take("templates", dict, {}).items():
        inner = TomlTable(table.path, f"{table.name}.templates.{name}", content)
        prompts.append(_named_prompt(inner, name, own, form, labels, texts))
    view = unified(form, labels, own, take_names(table, form, labels), texts)
    if view is not None and UNIFIED not in {prompt.name for prompt in prompts}:
        prompts.append(view)
    return prompts


def _named_prompt(
    table: TomlTable, name: str, own: Prompt, form: str, labels: tuple[str, ...], texts: int
) -> Prompt:
    """Read a named prompt; a template or words that it lacks are those of the task's own prompt."""
    if not NAME.fullmatch(name) or name == OWN:
        allowed = "lower-case letters, digits and single '-'"
        raise table.error("", f"'{name}' is not a valid template name", allowed=allowed)
    if not table.has("template") and not table.has("words"):
        fix = 'template = "…", words = { … }, or both'
        raise table.error("", "neither a template nor words", fix=fix)
    template, words = own.template, own.words
    if table.has("template"):
        template = _template(table, form, texts)
    if table.has("words"):
        words = _words(table, labels)
    # Both keys are allowed, also one that is absent: `finish` lists them if a key is unknown.
    table.take("template", str, "")
    table.take("words", dict, {})
    table.finish()
    return Prompt(name, template, words)


def with_prompt(task: Task, name: str) -> Task:
    """Return the task with the named prompt in use; `own` keeps its own.

    Raises:
        BenchError: the task has no such prompt.
    """
    prompts = {prompt.name: prompt for prompt in task.prompts}
    if name == OWN:
        return task
    if name not in prompts:
        raise BenchError(
            f"task '{task.name}' has no template '{name}'",
            where=task.file,
            allowed=[OWN, *prompts],
            given=name,
            fix=f"[{task.name}.templates.{name}] in that file" if NAME.fullmatch(name) else None,
        )
    return replace(task, template=prompts[name].template, words=prompts[name].words, prompt=name)


def _template(table: TomlTable, form: str, texts: int) -> str:
    template: str = table.take("template", str)
    try:
        pieces = parse_template(template)
    except BenchError as error:
        problem, allowed, fix = error.problem, error.allowed, error.fix
        raise table.error("template", problem, allowed=allowed, fix=fix) from error
    used = {piece.index for piece in pieces if piece.kind == "text"}
    if used != set(range(texts)):
        needed = " and ".join(f"{{{index}}}" for index in range(texts))
        problem = f"the template '{template}' does not use exactly {needed}"
        raise table.error("template", problem, fix=f"format {form}")
    if (form == "choice") != any(piece.kind == "options" for piece in pieces):
        problem = "{options} belongs in the template of a choice, and in no other"
        raise table.error("template", problem)
    return template


def _words(table: TomlTable, labels: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    by_label: dict[str, list[str]] = {}
    for label, words in table.take("words", dict).items():
        by_label[label] = [words] if isinstance(words, str) else words
        _check_words(table, label, by_label[label], labels)
    if missing := [label for label in labels if label not in by_label]:
        problem = f"the label '{missing[0]}' has no word"
        raise table.error("words", problem, fix=f'words = {{ {missing[0]} = "…" }}')
    owner: dict[str, str] = {}
    for label, words in by_label.items():
        for word in words:
            if owner.setdefault(word, label) != label:
                problem = f"'{owner[word]}' and '{label}' have the same word '{word}'"
                raise table.error("words", problem)
    return tuple(tuple(by_label[label]) for label in labels)


def _check_words(table: TomlTable, label: str, words: Any, labels: tuple[str, ...]) -> None:
    if label not in labels:
        problem = f"words for an unknown label '{label}'"
        raise table.error("words", problem, allowed=labels, given=label)
    valid = isinstance(words, list) and bool(words) and all(map(_is_word, words))
    if not valid or len(set(words)) != len(words):
        allowed = "a word, or a list of different words, without spaces around them"
        raise table.error("words", f"the words of '{label}' are {words!r}", allowed=allowed)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value == value.strip()
