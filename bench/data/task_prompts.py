"""Declarations of prompts: a task's own template and label words, and others under names."""

from __future__ import annotations

from dataclasses import replace

from fewbench.data.template import parse_template
from fewbench.data.unified import UNIFIED, take_names, unified
from fewbench.errors import BenchError
from fewbench.io.toml import TomlTable
from fewbench.refs import NAME
from fewbench.types import Prompt, Task

OWN = "own"
"""What `--template` calls a task's own prompt."""


def take_prompts(table: TomlTable, form: str, labels: tuple[str, ...], texts: int) -> list[Prompt]:
    """Return the prompts of a task's table, its own first. A named one has a template, label words,
    or both.

    Last comes the unified view, where the labels allow one and the table has none of its own.

    Raises:
        BenchError: a template or words that do not fit the task, or a name that is none.
    """
    own = Prompt("", _template(table, form, texts), _words(table, labels))
    prompts = [own]
    for name, content in table.take("templates", dict, {}).items():
        given = TomlTable(table.path, f"{table.name}.templates.{name}", content)
        if not NAME.fullmatch(name) or name == OWN:
            raise given.error(
                "",
                f"'{name}' is no template's name",
                allowed="lower-case letters, digits and single '-'",
            )
        if not given.has("template") and not given.has("words"):
            raise given.error(
                "", "neither a template nor words", fix='template = "…", words = { … }, or both'
            )
        template = _template(given, form, texts) if given.has("template") else own.template
        prompts.append(
            Prompt(name, template, _words(given, labels) if given.has("words") else own.words)
        )
        given.take("template", str, ""), given.take("words", dict, {})
        given.finish()
    view = unified(form, labels, own, take_names(table, form, labels), texts)
    if view is not None and UNIFIED not in {prompt.name for prompt in prompts}:
        prompts.append(view)
    return prompts


def with_prompt(task: Task, name: str) -> Task:
    """Return the task with another of its prompts in use; `own` is the one it has.

    Raises:
        BenchError: it has none of that name.
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
        raise table.error(
            "template", error.problem, allowed=error.allowed, fix=error.fix
        ) from error
    used = {piece.index for piece in pieces if piece.kind == "text"}
    if used != set(range(texts)):
        needed = " and ".join(f"{{{index}}}" for index in range(texts))
        raise table.error(
            "template",
            f"the template '{template}' does not use just {needed}",
            fix=f"format {form}",
        )
    if (form == "choice") != any(piece.kind == "options" for piece in pieces):
        raise table.error(
            "template", "{options} belongs in the template of a choice, and of nothing else"
        )
    return template


def _words(table: TomlTable, labels: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    given = {
        label: [words] if isinstance(words, str) else words
        for label, words in table.take("words", dict).items()
    }
    for label, words in given.items():
        if label not in labels:
            raise table.error(
                "words", f"words for an unknown label '{label}'", allowed=labels, given=label
            )
        fits = (
            isinstance(words, list)
            and words
            and all(isinstance(w, str) and w and w == w.strip() for w in words)
        )
        if not fits or len(set(words)) != len(words):
            allowed = "a word, or a list of different words, with no space around them"
            raise table.error("words", f"the words of '{label}' are {words!r}", allowed=allowed)
    if missing := [label for label in labels if label not in given]:
        raise table.error(
            "words",
            f"the label '{missing[0]}' has no word",
            fix=f'words = {{ {missing[0]} = "…" }}',
        )
    owner: dict[str, str] = {}
    for label, words in given.items():
        for word in words:
            if owner.setdefault(word, label) != label:
                raise table.error(
                    "words", f"'{owner[word]}' and '{label}' have the same word '{word}'"
                )
    return tuple(tuple(given[label]) for label in labels)
