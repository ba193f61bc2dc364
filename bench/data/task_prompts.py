"""Read the prompts in a task's table: its own template and label words, and named ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fewbench.data.searched_prompts import SearchedPrompt, read_searched
from fewbench.data.template import parse_template
from fewbench.data.unified import UNIFIED, take_names, unified
from fewbench.errors import BenchError
from fewbench.io.toml import TomlTable
from fewbench.refs import NAME
from fewbench.types import Json, Prompt, Source, Task

OWN = "own"
"""The name of a task's own prompt in `--template`."""

NUMBERED = ("lm-bff", "glue")
"""Sources whose numbers of labels are those of LM-BFF's files: the order of the task's labels."""


class _Asked(NamedTuple):
    """The things that a prompt has to fit: format, labels, texts, the own prompt, the sources."""

    form: str
    labels: tuple[str, ...]
    texts: int
    own: Prompt
    sources: tuple[Source, ...]


def take_prompts(
    table: TomlTable, form: str, labels: tuple[str, ...], sources: tuple[Source, ...]
) -> list[Prompt]:
    """Take the prompts of a task's table: its own, the named ones, and the unified view.

    A named prompt has a template, label words, or both, or a file of prompts that a search has
    found. The unified view is left out if the labels do not allow one, or the table declares its
    own.

    An answer that is a span of a passage is not asked for by a prompt: no words, no template.

    Raises:
        BenchError: a template or words do not fit the task, a name is not valid, or a file of
            prompts cannot be read.
    """
    texts = len(sources[0].texts)
    if form == "span":
        return [_no_prompt(table, labels)]
    own = Prompt("", _template(table, form, texts), _words(table, labels))
    prompts = [own, *_named_prompts(table, _Asked(form, labels, texts, own, sources))]
    view = unified(form, labels, own, take_names(table, form, labels), texts)
    if view is not None and UNIFIED not in {prompt.name for prompt in prompts}:
        prompts.append(view)
    return prompts


def _no_prompt(table: TomlTable, labels: tuple[str, ...]) -> Prompt:
    for key in ("template", "words", "templates", "names"):
        if table.has(key):
            raise table.error(key, f"the format span has no '{key}'")
    return Prompt("", "", ((),) * len(labels))


def with_more_prompts(task: Task, table: TomlTable) -> Task:
    """Return a task with the prompts of another file's table, which has nothing else.

    Raises:
        BenchError: a prompt that the task has already, or a mistake in one.
    """
    own = Prompt("", task.template, task.words)
    asked = _Asked(task.format, task.labels, len(task.source.texts), own, task.sources)
    more = _named_prompts(table, asked)
    table.finish()
    names = {prompt.name for prompt in task.prompts}
    for prompt in more:
        if prompt.name in names:
            problem = f"task '{task.name}' has a template '{prompt.name}' already"
            raise table.error("templates", problem, fix="another name")
    return replace(task, prompts=(*task.prompts, *more))


def _named_prompts(table: TomlTable, asked: _Asked) -> list[Prompt]:
    prompts: list[Prompt] = []
    for name, content in table.take("templates", dict, {}).items():
        inner = TomlTable(table.path, f"{table.name}.templates.{name}", content)
        if not NAME.fullmatch(name) or name == OWN:
            allowed = "lower-case letters, digits and single '-'"
            raise inner.error("", f"'{name}' is not a valid template name", allowed=allowed)
        if inner.has("searched"):
            prompts += _searched_prompts(inner, name, asked)
        else:
            prompts.append(_named_prompt(inner, name, asked))
    names = [prompt.name for prompt in prompts]
    for name in names:
        if names.count(name) > 1:
            raise table.error("templates", f"two templates are called '{name}'")
    return prompts


def _named_prompt(table: TomlTable, name: str, asked: _Asked) -> Prompt:
    """Read a named prompt; a template or words that it lacks are those of the task's own prompt."""
    if not table.has("template") and not table.has("words"):
        fix = 'template = "…", words = { … }, or both; or searched = "FILE"'
        raise table.error("", "neither a template nor words", fix=fix)
    template, words = asked.own.template, asked.own.words
    if table.has("template"):
        template = _template(table, asked.form, asked.texts)
    if table.has("words"):
        words = _words(table, asked.labels)
    # Both keys are allowed, also one that is absent: `finish` lists them if a key is unknown.
    table.take("template", str, "")
    table.take("words", dict, {})
    table.finish()
    return Prompt(name, template, words)


def _searched_prompts(table: TomlTable, name: str, asked: _Asked) -> list[Prompt]:
    """Read prompts of `searched`, a file or several: `NAME-1`, `NAME-2` and so on to `best`.

    Without `best` it is the first line alone, called `NAME`. Of several files, one may give the
    templates and another the words.
    """
    files: str | list[str] = table.take("searched", (str, list))
    best: int | None = table.take("best", int, None)
    if best is not None and best < 1:
        raise table.error("best", f"'best' is {best}", allowed="1 or more")
    numbers = _numbered_labels(table, asked)
    table.finish()

    def check(found: SearchedPrompt) -> None:
        _prompt_of(table, name, [found], asked)

    columns = [
        read_searched(table.path.parent / str(file), asked.labels, numbers, best or 1, check)
        for file in ([files] if isinstance(files, str) else files)
    ]
    prompts = []
    for number, parts in enumerate(zip(*columns, strict=True), 1):
        numbered = name if best is None else f"{name}-{number}"
        prompts.append(_prompt_of(table, numbered, parts, asked))
    return prompts


def _prompt_of(
    table: TomlTable, name: str, parts: Sequence[SearchedPrompt], asked: _Asked
) -> Prompt:
    """Make one prompt of a line of each file."""
    templates = [part.template for part in parts if part.template]
    mappings = [part.words for part in parts if part.words]
    if max(len(templates), len(mappings)) > 1:
        problem = "two of these files give templates, or two give label words"
        raise table.error("searched", problem, allowed="one file of each")
    content: Json = {}
    if templates:
        content["template"] = templates[0]
    if mappings:
        content["words"] = mappings[0]
    return _named_prompt(TomlTable(table.path, table.name, content), name, asked)


def _numbered_labels(table: TomlTable, asked: _Asked) -> tuple[str, ...]:
    """Return the labels in the order of their numbers in LM-BFF's files, or () if it is unknown."""
    numbers: list[str] | None = table.take("numbers", list, None, of=str)
    if numbers is None:
        known = {source.name for source in asked.sources}.intersection(NUMBERED)
        return asked.labels if known else ()
    if sorted(numbers) != sorted(asked.labels):
        allowed = f"each of {', '.join(asked.labels)}, once"
        raise table.error("numbers", f"'numbers' is {numbers}", allowed=allowed)
    return tuple(numbers)


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
