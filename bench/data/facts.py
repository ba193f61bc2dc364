"""Declare and read facts for a probe: relations with templates, subjects and objects, as in LAMA.

A probe asks a masked language model for the object: "[X] was born in [Y] ." with the subject at [X]
and the mask at [Y] (Petroni et al., 2019). Nothing is trained on facts, so they have no splits,
labels or label words; a table with `kind = "facts"` declares them.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fewbench.errors import DataError
from fewbench.io.jsonl import A_TEXT, is_text, objects, read_bytes
from fewbench.io.toml import TomlTable
from fewbench.types import Json, SourceFile

KIND = "facts"
"""Value of `kind` in a table that declares facts."""

_BLANK = re.compile(r"\[([XY])\]")


@dataclass(frozen=True, slots=True)
class FactTask:
    """A declared set of facts: two files of JSON lines in the folder `path` of the data folder.

    `relations` names the file of templates, `facts` that of subjects and objects. `file` is the
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


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation of Wikidata, with its label, its type (such as N-1) and its template.

    The template holds one [X] for the subject and one [Y] for the object.
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
    """A triple: `relation` (an id) holds between `subject` and `object`."""

    relation: str
    subject: str
    object: str


@dataclass(frozen=True, slots=True)
class FactSet:
    """Relations and facts in the order of their files.

    `duplicates` counts the facts that repeat an earlier one; they are kept. `limit` and `seed` are
    those of `sample`, for a sampled set.
    """

    name: str
    version: int
    relations: tuple[Relation, ...]
    facts: tuple[Fact, ...]
    duplicates: int = 0
    files: tuple[SourceFile, ...] = ()
    limit: int | None = None
    seed: int | None = None

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
    task = FactTask(
        name=table.name,
        title=table.take("title", str),
        path=table.inside("path"),
        relations=table.inside("relations"),
        facts=table.inside("facts"),
        paper=table.take("paper", str),
        licence=table.take("licence", str),
        version=table.positive("version"),
        root=None if folder is None else table.path.parent / folder,
        file=str(table.path),
    )
    table.finish()
    return task


def read_facts(task: FactTask, data: Path | None) -> FactSet:
    """Read the relations and facts of a task.

    Args:
        task: names the files.
        data: the data folder; a task that has its own folder does not need it.

    Raises:
        DataError: a file is missing, or a row does not fit.
    """
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
    if sorted(_BLANK.findall(relation.template)) != ["X", "Y"]:
        raise DataError(
            f"the template '{relation.template}' does not have exactly one [X] and one [Y]",
            where=place,
            allowed="[X] for the subject and [Y] for the object, each once",
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


def _count_duplicates(facts: tuple[Fact, ...]) -> int:
    return len(facts) - len(set(facts))
