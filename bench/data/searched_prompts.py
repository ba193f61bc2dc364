"""Read prompts that LM-BFF's search has found: files with a template, label words, or both a line.

Gao, Fisch and Chen, 2021, sections 5.1 and 5.2; the best line comes first. A template is such as
`*cls**sent_0*_It_was*mask*.*sep+*`, where `_` is a space; label words such as
`{"0": "terrible", "1": "great"}`; a line with both has a tab between them. A score may stand before
them. Nothing in a file is executed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import BenchError, shortened
from fewbench.io.files import parse_json, read_file

TEXTS = {
    "sent_": "{{{}}}",
    "sent-_": "{{{}|cut}}",
    "sentl_": "{{{}|lower}}",
    "+sent_": " {{{}}}",
    "+sent-_": " {{{}|cut}}",
    "+sentl_": " {{{}|lower}}",
}
"""The marks of a text before its number, and the fields that they are here."""

ALLOWED_MARKS = "*cls*, *mask*, *sep+* at the end, " + ", ".join(f"*{mark}0*" for mark in TEXTS)

TEMPLATE_SHAPE = "*cls**sent_0*_It_was*mask*.*sep+*"
WORDS_SHAPE = '{"0": "terrible", "1": "great"}'

MOST_SHOWN = 10
"""Bad lines of a file that an error describes one by one."""

_SCORE = re.compile(r"-?\d+(\.\d+)?\s+(?=[*{])")
_TEXT = re.compile(r"(\+?sent[a-z]?-?_)([01])")


class SearchedPrompt(NamedTuple):
    """One line: a template in the project's own form or "", and a word by label, or none."""

    template: str
    words: dict[str, str]


def read_searched(
    file: Path,
    labels: Sequence[str],
    numbers: Sequence[str],
    count: int,
    check: Callable[[SearchedPrompt], None],
) -> list[SearchedPrompt]:
    """Read the first lines of a file of searched prompts; empty lines are none.

    Args:
        file: with the best first.
        labels: of the task.
        numbers: the labels in the order of their numbers in the file; empty if it is unknown.
        count: how many lines are taken.
        check: raises a `BenchError` for a prompt that does not fit the task.

    Raises:
        BenchError: the file cannot be read or has fewer lines, or lines that are no prompts: each
            with its number.
    """
    lines = [(number, line) for number, line in enumerate(_lines(file), 1) if line.strip()]
    if len(lines) < count:
        problem = f"this file has {len(lines)} prompts, and {count} are asked for"
        raise BenchError(problem, where=str(file), fix=f"best = {len(lines)}" if lines else None)
    found, bad = [], []
    for number, line in lines[:count]:
        try:
            found.append(_prompt(line.strip(), labels, numbers))
            check(found[-1])
        except BenchError as error:
            bad.append((number, error))
    if bad:
        raise _bad_lines(file, bad)
    return found


def _lines(file: Path) -> list[str]:
    try:
        return read_file(file).decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {file}") from error
    except OSError as error:
        problem = f"this file cannot be read: {error.strerror}"
        raise BenchError(problem, where=str(file)) from error
    except UnicodeDecodeError as error:
        where = f"{file}, byte {error.start}"
        raise BenchError("this file is not UTF-8 text", where=where) from error


def _bad_lines(file: Path, bad: Sequence[tuple[int, BenchError]]) -> BenchError:
    number, first = bad[0]
    if len(bad) == 1:
        where = f"{file}, line {number}"
        return BenchError(first.problem, where=where, allowed=first.allowed, fix=first.fix)
    shown = [f"line {number}: {error.problem}" for number, error in bad[:MOST_SHOWN]]
    if len(bad) > MOST_SHOWN:
        shown.append(f"and {len(bad) - MOST_SHOWN} more")
    problem = "\n".join([f"{len(bad)} lines are no prompts", *shown])
    return BenchError(problem, where=str(file), allowed=first.allowed, fix=first.fix)


def _prompt(line: str, labels: Sequence[str], numbers: Sequence[str]) -> SearchedPrompt:
    """Read a line: a template, label words, or both with a tab between."""
    rest = _SCORE.sub("", line, count=1) if _SCORE.match(line) else line
    if rest.startswith("{"):
        return SearchedPrompt("", read_mapping(rest, labels, numbers))
    template, tab, mapping = rest.partition("\t")
    words = read_mapping(mapping.strip(), labels, numbers) if tab else {}
    return SearchedPrompt(read_template(template.strip()), words)


def read_template(text: str) -> str:
    """Translate a template of LM-BFF's.

    >>> read_template("*cls**sent-_0*?*mask*,*+sentl_1**sep+*")
    '{0|cut}? {mask}, {1|lower}'

    Raises:
        BenchError: a mark that has no counterpart here, or a text that is no template.
    """
    if "{" in text or "}" in text:
        raise BenchError(f"'{shortened(text)}' has a brace, which no template may have")
    parts = text.split("*")
    if len(parts) < 3 or len(parts) % 2 == 0:
        problem = f"'{shortened(text)}' is no template of LM-BFF's"
        raise BenchError(problem, allowed=f"a line such as {TEMPLATE_SHAPE}, or {WORDS_SHAPE}")
    found = ""
    for place, part in enumerate(_closed(parts)):
        is_mark = place % 2 == 1
        found += _field(part, text, found) if is_mark else part.replace("_", " ")
    return found.strip()


def _closed(parts: Sequence[str]) -> list[str]:
    """Drop the marks of the first and the last token, which every prompt has here."""
    kept = list(parts)
    if kept[-2] == "sep+" and not kept[-1]:
        kept = kept[:-2]
    if kept[0] == "" and kept[1:2] == ["cls"]:
        kept = kept[2:]
    return kept


def _field(mark: str, text: str, before: str) -> str:
    """Return the field of a mark; a space stands before the mask, which reads one anyway."""
    if mark == "mask":
        return "{mask}" if not before or before.endswith(" ") else " {mask}"
    named = _TEXT.fullmatch(mark)
    if named is None or named[1] not in TEXTS:
        problem = f"the mark '*{shortened(mark)}*' in '{shortened(text)}' has no counterpart here"
        raise BenchError(problem, allowed=ALLOWED_MARKS)
    return TEXTS[named[1]].format(named[2])


def read_mapping(text: str, labels: Sequence[str], numbers: Sequence[str]) -> dict[str, str]:
    """Read label words by label, which a line names, or numbers as LM-BFF's files do.

    Raises:
        BenchError: no mapping of texts, an unknown label, or one twice or not at all.
    """
    named = {str(number): label for number, label in enumerate(numbers)}
    named |= {_plain(label): label for label in labels}
    words: dict[str, str] = {}
    for key, word in _mapping(text).items():
        label = named.get(_plain(str(key)))
        if label is None:
            raise _unknown_label(str(key), labels, numbers)
        if label in words or not isinstance(word, str):
            problem = f"the label '{label}' has not one word in '{shortened(text)}'"
            raise BenchError(problem, allowed=f"a line such as {WORDS_SHAPE}")
        words[label] = word
    missing = sorted(set(labels).difference(words))
    if missing:
        raise BenchError(f"the label '{missing[0]}' has no word in '{shortened(text)}'")
    return words


def _unknown_label(key: str, labels: Sequence[str], numbers: Sequence[str]) -> BenchError:
    allowed = [*labels, *map(str, range(len(numbers)))]
    quoted = ", ".join(f'"{label}"' for label in labels)
    unnumbered = key.isdecimal() and not numbers
    fix = f"numbers = [{quoted}], the labels in the file's order" if unnumbered else None
    return BenchError(f"words for an unknown label '{key}'", allowed=allowed, given=key, fix=fix)


def _mapping(text: str) -> dict[object, object]:
    for parse in (parse_json, ast.literal_eval):
        try:
            found: object = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, dict):
            return found
    problem = f"'{shortened(text)}' is no mapping of labels to words"
    raise BenchError(problem, allowed=f"a line such as {WORDS_SHAPE}")


def _plain(label: str) -> str:
    return label.lower().replace("_", "-")
