"""Declare and read facts for a probe: relations with templates, subjects and objects, as in LAMA.

A probe asks a masked language model for the object: "[X] was born in [Y] ." with the subject at [X]
and the mask at [Y] (Petroni et al., 2019). Facts of ConceptNet and SQuAD have sentences of their
own instead, with "[MASK]" at the object. Nothing is trained on facts, so they have no splits,
labels or label words; a table with `kind = "facts"` declares them.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import DataError
from fewbench.io.jsonl import A_TEXT, is_text, objects, read_bytes
from fewbench.io.toml import TomlTable
from fewbench.types import Json, SourceFile

KIND = "facts"
"""Value of `kind` in a table that declares facts."""

MASK = "[MASK]"
"""The object's place in a sentence of LAMA's files, whichever model is asked."""

BLANKS = "[X] for the subject and [Y] for the object, each once"
_BLANK = re.compile(r"\[([XY])\]")


class FactColumns(NamedTuple):
    """The keys of a fact's row; `sentences` and `judgments` are empty where rows have none.

    `sentences` are the fact's own, of which the first is asked. `judgments` say of a fact whether
    people found it to be true.
    """

    subject: str = "subject"
    object: str = "object"
    sentences: str = ""
    judgments: str = ""


USUAL = FactColumns()


@dataclass(frozen=True, slots=True)
class FactTask:
    """A declared set of facts: files of JSON lines in the folder `path` of the data folder.

    `relations` names the file of templates, `facts` that of subjects and objects; or `parts` are
    relations that the table itself declares, each with the file of its facts. `file` is the
    declaring file; `root` overrides the data folder.
    """

    name: str
    title: str
    path: str
    relations: str
    facts: str
    paper: str
    licence: str
    version: int = 1
    root: Path | None = None
    file: str = ""
    parts: tuple[tuple[Relation, str], ...] = ()
    columns: FactColumns = USUAL

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files that are read."""
        return tuple(file for _, file in self.parts) or (self.relations, self.facts)


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation, such as one of Wikidata, with its label, its type (such as N-1) and template.

    The template holds one [X] for the subject and one [Y] for the object. It is empty where each
    fact has a sentence of its own.
    """

    id: str
    template: str
    label: str
    type: str

    def fill(self, subject: str, object: str) -> str:
        """Fill both blanks of the template; a blank within a subject or object stays as it is."""
        texts = {"X": subject, "Y": object}
        return _BLANK.sub(lambda blank: texts[blank[1]], self.template)


@dataclass(frozen=True, slots=True)
class Fact:
    """A triple: `relation` (an id) holds between `subject` and `object`.

    A fact with a `sentence` of its own, `MASK` at the object, has no subject.
    """

    relation: str
    subject: str
    object: str
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class FactSet:
    """Relations and facts in the order of their files.

    `duplicates` counts the facts that repeat an earlier one; they are kept. `unasked` counts rows
    that were left out: their sentence has not one mask, or more people judged them wrong than
    right. `limit` and `seed` are those of `sample`, for a sampled set.
    """

    name: str
    version: int
    relations: tuple[Relation, ...]
    facts: tuple[Fact, ...]
    duplicates: int = 0
    files: tuple[SourceFile, ...] = ()
    limit: int | None = None
    seed: int | None = None
    unasked: int = 0

    def texts(self, object: str | None = None) -> Iterator[str]:
        """Yield each fact as a text, with `object` in the place of its object, or its own."""
        relations = {relation.id: relation for relation in self.relations}
        for fact in self.facts:
            filled = fact.object if object is None else object
            if fact.sentence:
                yield fact.sentence.replace(MASK, filled)
            else:
                yield relations[fact.relation].fill(fact.subject, filled)

    def sample(self, limit: int, seed: int = 0) -> FactSet:
        """Draw at most `limit` facts of each relation without replacement, and keep their order.

        The draw for a relation depends only on the seed and the relation's own facts.
        """
        by_relation: dict[str, list[int]] = {relation.id: [] for relation in self.relations}
        for number, fact in enumerate(self.facts):
            by_relation[fact.relation].append(number)
        drawn: list[int] = []
        for relation, numbers in by_relation.items():
            generator = random.Random(f"{seed} {relation}")
            drawn += generator.sample(numbers, min(limit, len(numbers)))
        facts = tuple(self.facts[number] for number in sorted(drawn))
        return replace(
            self, facts=facts, duplicates=_count_duplicates(facts), limit=limit, seed=seed
        )


def fact_task(table: TomlTable) -> FactTask:
    """Read a table that declares facts.

    Raises:
        BenchError: the table has a mistake.
    """
    folder = table.take("folder", str, None)
    parts = _parts(table)
    task = FactTask(
        name=table.name,
        title=table.take("title", str),
        path=table.inside("path"),
        relations="" if parts else table.inside("relations"),
        facts="" if parts else table.inside("facts"),
        paper=table.take("paper", str),
        licence=table.take("licence", str),
        version=table.positive("version"),
        root=None if folder is None else table.path.parent / folder,
        file=str(table.path),
        parts=parts,
        columns=_columns(table) if parts else USUAL,
    )
    table.finish()
    _check_templates(table, task)
    return task


def _parts(table: TomlTable) -> tuple[tuple[Relation, str], ...]:
    """Take the relations that a table itself declares, each with the file of its facts."""
    parts: dict[str, tuple[Relation, str]] = {}
    for content in table.take("relation", list, []):
        inner = TomlTable(table.path, f"{table.name}.relation", content)
        relation = Relation(
            id=inner.take("id", str),
            template=inner.take("template", str, ""),
            label=inner.take("label", str),
            type=inner.take("type", str),
        )
        if relation.id in parts:
            raise inner.error("id", f"the relation '{relation.id}' appears twice")
        parts[relation.id] = relation, inner.inside("file")
        inner.finish()
    return tuple(parts.values())


def _columns(table: TomlTable) -> FactColumns:
    inner = TomlTable(table.path, f"{table.name}.columns", table.take("columns", dict, {}))
    columns = FactColumns(*(inner.take(key, str, usual) for key, usual in USUAL._asdict().items()))
    inner.finish()
    return columns


def _check_templates(table: TomlTable, task: FactTask) -> None:
    """Refuse relations with templates where facts have sentences, and without where they do not."""
    for relation, _ in task.parts:
        if task.columns.sentences and relation.template:
            problem = f"'{relation.id}' has a template, and its facts sentences of their own"
            raise table.error("relation", problem, fix="one of them")
        if not task.columns.sentences and not _has_blanks(relation.template):
            problem = f"the template '{relation.template}' of '{relation.id}'"
            raise table.error("relation", problem, allowed=BLANKS)


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
        duplicates=_count_duplicates(facts),
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
        duplicates=_count_duplicates(tuple(facts)),
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
    if not _has_blanks(relation.template):
        raise DataError(
            f"the template '{relation.template}' does not have exactly one [X] and one [Y]",
            where=place,
            allowed=BLANKS,
        )
    return relation


def _has_blanks(template: str) -> bool:
    return sorted(_BLANK.findall(template)) == ["X", "Y"]


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


def _count_duplicates(facts: tuple[Fact, ...]) -> int:
    return len(facts) - len(set(facts))
