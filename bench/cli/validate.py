"""`bench validate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from fewbench.cli.options import AllowOption, DataOption, JsonOption, OneKOption, StudentOption
from fewbench.cli.out import one_k, print_json, say
from fewbench.data.train_size import k_title
from fewbench.errors import BenchError, how_many

if TYPE_CHECKING:
    from fewbench.data.facts import FactTask
    from fewbench.data.task_file import Declared
    from fewbench.data.tokenizer_check import Word
    from fewbench.types import Example, Json, K, Task

KINDS = "tasks or protocols (.toml), methods (.py), records (.json)"
"""What can be checked, by the end of a file's name."""

SAMPLE = 1000
"""How many training rows and test rows `bench validate` counts tokens of, the first of each."""


def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help=KINDS),
    ],
    data: DataOption = None,
    student: StudentOption = None,
    k: OneKOption = None,
    allow_metric_code: AllowOption = False,
    json: JsonOption = False,
) -> None:
    """Check files as they will be read: tasks, protocols, methods and records.

    The tokenizer of --student must have the pieces of all label words; without it they are only
    shown. There must be --k examples per label, by default as many as the protocol quick takes.
    """
    given = _Given(data, student, one_k(k), allow_metric_code)
    reports = [_report(file, given) for file in files]
    if json:
        print_json(reports)
    else:
        _print_reports(reports)
    if not all(report["ok"] for report in reports):
        raise typer.Exit(2)


class _Given(NamedTuple):
    """The conditions of a check: data folder, student, K, and whether metrics may be code."""

    data: Path | None
    student: str | None
    k: K | None
    metric_code: bool


def _report(file: Path, given: _Given) -> Json:
    """Check a file, and return what was found, or what is wrong."""
    try:
        if not file.is_file():
            raise BenchError(f"no such file: {file}", allowed=KINDS, fix="ls " + str(file.parent))
        found = _CHECKS.get(file.suffix, _unknown)(file, given)
    except BenchError as error:
        return {"file": str(file), "ok": False, "error": str(error)}
    return {"file": str(file), "ok": True, "found": found}


def _print_reports(reports: Sequence[Json]) -> None:
    for report in reports:
        say(f"{'ok   ' if report['ok'] else 'BAD  '}{report['file']}")
        for line in report["found"] if report["ok"] else report["error"].splitlines():
            say(f"     {line}")


def _check_toml(file: Path, given: _Given) -> list[str]:
    """Check a file of protocols if a table has a grid, else one of tasks."""
    from fewbench.io import toml
    from fewbench.registry.protocols import load_protocols

    tables = toml.load(file).values()
    if not any(isinstance(table, dict) and "grid" in table for table in tables):
        return _check_tasks(file, given)
    return [
        f"{protocol.name}: a protocol, {k_title(protocol.k)}, "
        f"{how_many(len(protocol.seeds), 'seed')}"
        for protocol in load_protocols(file).values()
    ]


def _check_tasks(file: Path, given: _Given) -> list[str]:
    from fewbench.data.metrics import check_metrics, shown_metric
    from fewbench.data.task_file import declared
    from fewbench.data.tokenizer_check import load_tokenizer
    from fewbench.registry.methods import task_files
    from fewbench.registry.pretrained import find_model
    from fewbench.runner.plan import STUDENT

    data, student, k, _ = given
    tokenizer = load_tokenizer(find_model(student or STUDENT))
    known = declared(task_files([file]))
    lines: list[str] = []
    for task in known.tasks.values():
        if Path(task.file).resolve() == file.resolve():
            check_metrics(replace(task, metric_code=given.metric_code))
            labels = "a value" if task.is_regression else " ".join(task.labels)
            lines.append(
                f"{task.name}: {task.format}, {shown_metric(task.metric, task.positive)}, {labels}"
            )
            words = _words(task, tokenizer, strict=student is not None) if task.template else []
            lines += [f"    {line}" for line in (*words, *_rendered(task, data, tokenizer, k))]
    lines += _more_prompts(file, known, tokenizer, strict=student is not None)
    for facts in known.facts.values():
        if Path(facts.file).resolve() == file.resolve():
            lines += [
                f"{facts.name}: facts, mrr",
                *(f"    {line}" for line in _filled(facts, data)),
            ]
    return lines


def _more_prompts(file: Path, known: Declared, tokenizer: Any, *, strict: bool) -> list[str]:
    """List the prompts that a file has for tasks of others."""
    lines = []
    for added in known.prompts:
        if added.path.resolve() != file.resolve():
            continue
        task = known.tasks[added.task]
        task = replace(task, prompts=tuple(p for p in task.prompts if p.name in added.names))
        lines.append(f"{added.task}: {len(added.names)} more prompts")
        lines += [f"    +{prompt.name}: {prompt.template}" for prompt in task.prompts]
        lines += [f"    {line}" for line in _words(task, tokenizer, strict=strict)[1:]]
    return lines


def _filled(task: FactTask, data: Path | None) -> list[str]:
    """Count the facts and show the first as a question, or say why there are none to show."""
    from fewbench.data.fact_files import find_file, read_facts

    try:
        for name in task.files:
            find_file(task, name, data)
    except BenchError as error:
        return [f"facts not read: {error.problem}"]
    read = read_facts(task, data)
    shown = next(read.texts(f"[{read.facts[0].object}]"))
    return [
        f"{len(read.facts)} facts of {len(read.relations)} relations, "
        f"{read.duplicates} of them repeated",
        shown,
    ]


def _words(task: Task, tokenizer: Any, *, strict: bool) -> list[str]:
    """List the label words of each prompt with their pieces; `strict` refuses unknown ones."""
    from fewbench.data.task_prompts import OWN, with_prompt
    from fewbench.data.tokenizer_check import check_words, label_words

    lines: list[str] = []
    found = []
    for name in (OWN, *(prompt.name for prompt in task.prompts)):
        prompted = with_prompt(task, name)
        words = label_words(prompted, tokenizer)
        try:
            check_words(prompted, [word.taken_whole for word in words])
        except BenchError:
            if strict:
                raise
        marked = ", ".join(f"{w.label}={w.word} ({' '.join(w.pieces)}){w.remark}" for w in words)
        lines.append(("words: " if name == OWN else f"+{name} words: ") + marked)
        found += words
    return [*lines, *_readers_of_long_words(found)]


def _readers_of_long_words(words: Sequence[Word]) -> list[str]:
    """Name the methods that take label words of several tokens, if there are any."""
    from fewbench.registry.methods import methods

    if all(word.fits or word.unknown for word in words):
        return []
    readers = [name for name, method in methods().items() if "long-words" in method.needs]
    return [f"words of several tokens: read by {', '.join(readers)}; other methods refuse them"]


def _lengths(task: Task, examples: Sequence[Example], tokenizer: Any) -> str:
    """Describe the lengths of prompts in tokens, and count those that would be cut."""
    from fewbench.data.tokenizer_check import prompt_lengths

    lengths = prompt_lengths(task, examples, tokenizer)
    cut = sum(length > task.max_length for length in lengths)
    return (
        f"tokens: {min(lengths)} to {max(lengths)}, median {median(lengths):g}; "
        f"at most {task.max_length}, "
        f"so {cut} of {len(lengths)} prompts would be cut"
    )


def _rendered(task: Task, data: Path | None, tokenizer: Any, k: K | None) -> list[str]:
    """Return lengths and the first rows as a prompt shows them, or why there are none to show."""
    from fewbench.data.reader import find_file, read_rows
    from fewbench.data.rows import check_classes
    from fewbench.data.split import make_split
    from fewbench.data.template import render
    from fewbench.registry.protocols import get_protocol

    try:
        files = [find_file(task, data, split) for split in task.source.splits]
        if None in files:
            return ["rows not read: they are on the hub (--data DIR reads a local copy)"]
    except BenchError as error:
        return [f"rows not read: {error.problem}"]
    rows = read_rows(task, data, offline=True)
    check_classes(task, rows.train, str(files[0]))
    wanted = get_protocol("quick").k if k is None else k
    make_split(task, rows, None if rows.folds else wanted, 0)  # refused as a run's would be
    shown = rows.train[:3]
    if not task.template:
        return [*map(_question, shown)]
    lines = [_lengths(task, (*rows.train[:SAMPLE], *rows.test[:SAMPLE]), tokenizer)]
    lines += [f"{e.label}: {render(task.template, e, _mask(task.words))}" for e in shown]
    lines += [
        f"+{name}: {render(template, shown[0], _mask(words))}"
        for name, template, words in task.prompts
    ]
    return [" ".join(line.split()) for line in lines]  # a text may have lines of its own


def _question(example: Example) -> str:
    """Write a question with its answers."""
    from fewbench.data.spans import text_of

    answers = [text_of(example, answer) for answer in example.answers]
    return " ".join(f"{example.texts[1]} [{' | '.join(answers) or 'no answer'}]".split())


def _mask(words: Sequence[Sequence[str]]) -> str:
    """Write the words that stand for the mask, class by class."""
    return "[" + " | ".join("/".join(some) for some in words) + "]"


def _check_method(file: Path, given: _Given) -> list[str]:
    from fewbench.registry.imports import check_imports
    from fewbench.registry.methods import read_method

    method = read_method(file)
    check_imports(file)
    settings = " ".join(f"{name}={value!r}" for name, value in method.settings.items())
    return [
        f"{method.name}: {method.summary}",
        f"settings: {settings or 'none'}",
        f"needs: {', '.join(method.needs)}",
    ]


def _check_record(file: Path, given: _Given) -> list[str]:
    from fewbench.io.files import read_file
    from fewbench.store.record import from_json

    try:
        record = from_json(read_file(file).decode("utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot be read: {error}", where=str(file)) from error
    return [
        f"{record.run.key} {record.run.method} on "
        f"{record.run.task}@{record.run.source}: {record.status}"
    ]


def _unknown(file: Path, given: _Given) -> list[str]:
    raise BenchError(f"what kind of file is '{file.name}'?", allowed=KINDS)


_CHECKS = {".toml": _check_toml, ".py": _check_method, ".json": _check_record}
