"""Read the files of facts: relations, subjects, objects and sentences (`fewbench.data.facts`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from fewbench.data.facts import (
    BLANKS,
    MASK,
    Fact,
    FactColumns,
    FactSet,
    FactTask,
    Relation,
    count_duplicates,
    has_blanks,
)
from fewbench.errors import DataError
from fewbench.io.jsonl import A_TEXT, is_text, objects, read_bytes
from fewbench.types import Json, SourceFile


def read_facts(task: FactTask, data: Path | None) -> FactSet:
    """Read the relations and facts of a task.

    Args:
        task: names the files.
        data: the data folder; a task that has its own folder does not need it.

    Raises:
        DataError: a file is missing, or a row does not fit.
    """
    if task.parts:
        return _read_parts(task, data)
    files: list[SourceFile] = []
    relations: dict[str, Relation] = {}
    for place, row in _rows(task, task.relations, data, files):
        relation = _relation(place, row)
        if relation.id in relations:
            raise DataError(f"the relation '{relation.id}' appears twice", where=place)
        relations[relation.id] = relation
    fact_rows = _rows(task, task.facts, data, files)
    facts = tuple(_fact(place, row, relations) for place, row in fact_rows)
    used = {fact.relation for fact in facts}
    if missing := [name for name in relations if name not in used]:
        raise DataError(
            f"{task.name}: the relation '{missing[0]}' has no facts",
            where=str(find_file(task, task.facts, data)),
        )
    return FactSet(
        name=task.name,
        version=task.version,
        relations=tuple(relations.values()),
        facts=facts,
        duplicates=count_duplicates(facts),
        files=tuple(files),
    )


def _read_parts(task: FactTask, data: Path | None) -> FactSet:
    """Read the facts of relations that the table declares, each from its file."""
    files: list[SourceFile] = []
    facts: list[Fact] = []
    unasked = 0
    for relation, name in task.parts:
        before = len(facts)
        for place, row in _rows(task, name, data, files):
            fact = _own_fact(place, row, relation, task.columns)
            if fact is None:
                unasked += 1
            else:
                facts.append(fact)
        if len(facts) == before:
            problem = f"{task.name}: the relation '{relation.id}' has no facts to ask"
            raise DataError(problem, where=str(find_file(task, name, data)))
    return FactSet(
        name=task.name,
        version=task.version,
        relations=tuple(relation for relation, _ in task.parts),
        facts=tuple(facts),
        duplicates=count_duplicates(tuple(facts)),
        files=tuple(files),
        unasked=unasked,
    )


def _own_fact(place: str, row: Json, relation: Relation, columns: FactColumns) -> Fact | None:
    """Return the fact of a row, or None if it is not to be asked."""
    if columns.judgments and _is_judged_wrong(place, row, columns.judgments):
        return None
    object = _text(place, row, columns.object)
    if not columns.sentences:
        return Fact(relation.id, _text(place, row, columns.subject), object)
    sentences = row.get(columns.sentences)
    if not isinstance(sentences, list) or not sentences or not all(map(is_text, sentences)):
        problem = f"'{columns.sentences}' is {sentences!r}"
        raise DataError(problem, where=place, allowed="a list of one text or more")
    sentence = sentences[0]
    return Fact(relation.id, "", object, sentence) if sentence.count(MASK) == 1 else None


def _is_judged_wrong(place: str, row: Json, key: str) -> bool:
    """Return True if more judgments in a row are "no" than "yes"; LAMA leaves out such facts."""
    given = row.get(key, [])
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        allowed = 'a list of {"judgment": "yes"} or "no"'
        raise DataError(f"'{key}' is {given!r}", where=place, allowed=allowed)
    votes = [one.get("judgment") for one in given]
    return len(votes) - votes.count("yes") > votes.count("yes")


def find_file(task: FactTask, name: str, data: Path | None) -> Path:
    """Find one of a task's files.

    Raises:
        DataError: there is no such file.
    """
    root = task.root or data
    file = (root or Path("DIR")) / task.path / name
    if root is not None and file.is_file():
        return file
    problem = f"{task.name}: there is no file '{name}'"
    if root is None:
        problem += ", and no data folder is given"
    fix = None
    if task.root is None:
        fix = f"use --data DIR (or FEWBENCH_DATA) with {task.path}/{name} in it"
    raise DataError(problem, where=str(file), fix=fix)


def _rows(
    task: FactTask, name: str, data: Path | None, files: list[SourceFile]
) -> Iterator[tuple[str, Json]]:
    """Yield the rows of a file with their places, then append the file to `files`."""
    file = find_file(task, name, data)
    raw = read_bytes(file)
    count = 0
    for place, row in objects(raw, str(file)):
        yield place, row
        count += 1
    if not count:
        raise DataError(f"{task.name}: no rows", where=str(file))
    digest = hashlib.sha256(raw).hexdigest()
    files.append({"file": f"{task.path}/{name}", "rows": count, "sha256": digest})


def _relation(place: str, row: Json) -> Relation:
    relation = Relation(
        id=_text(place, row, "relation"),
        template=_text(place, row, "template"),
        label=_text(place, row, "label"),
        type=_text(place, row, "type"),
    )
    if not has_blanks(relation.template):
        raise DataError(
            f"the template '{relation.template}' does not have exactly one [X] and one [Y]",
            where=place,
            allowed=BLANKS,
        )
    return relation


def _fact(place: str, row: Json, relations: Mapping[str, Relation]) -> Fact:
    name = _text(place, row, "relation")
    if name not in relations:
        raise DataError(f"unknown relation '{name}'", where=place, allowed=relations, given=name)
    return Fact(name, _text(place, row, "subject"), _text(place, row, "object"))


def _text(place: str, row: Json, key: str) -> str:
    if key not in row:
        raise DataError(f"the key '{key}' is missing", where=place, allowed=row, given=key)
    value = row[key]
    if not is_text(value):
        raise DataError(f"'{key}' is {value!r}", where=place, allowed=A_TEXT)
    if not value.strip():
        raise DataError(f"'{key}' is empty", where=place)
    return value
