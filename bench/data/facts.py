"""Facts to be completed: a template a relation, subjects and objects, as in LAMA. No torch.

A probe asks a masked language model for the object: "[X] was born in [Y] ." with the subject at [X]
and the mask at [Y] (Petroni et al., 2019). Nothing is trained on facts, so they have no splits,
labels or label words: they are declared by a table of their own kind (`kind = "facts"`) and read
here.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewbench.errors import DataError
from fewbench.io.jsonl import A_TEXT, is_text, objects, read_bytes
from fewbench.io.toml import TomlTable

KIND = "facts"
"""What a table says of its kind."""

_BLANK = re.compile(r"\[([XY])\]")


@dataclass(frozen=True, slots=True)
class FactTask:
    """A declared set of facts: two files of JSON lines in the folder `path` of the data folder (or
    of `root`).

    `relations` names the file of templates, `facts` that of subjects and objects. `file` is the
    declaring file.
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
    """A relation of Wikidata: its template with one [X] (subject) and one [Y] (object), its label
    and type (N-1…).
    """

    id: str
    template: str
    label: str
    type: str

    def fill(self, subject: str, object: str) -> str:
        """Return the template with both blanks filled; what is filled in is not looked at again."""
        texts = {"X": subject, "Y": object}
        return _BLANK.sub(lambda blank: texts[blank[1]], self.template)


@dataclass(frozen=True, slots=True)
class Fact:
    """That `object` stands in `relation` (its id) to `subject`."""

    relation: str
    subject: str
    object: str


@dataclass(frozen=True, slots=True)
class FactSet:
    """Relations and facts in the order of their files. `duplicates` facts repeat an earlier one,
    and are kept.

    `files` has one entry a file read: `{"file", "rows", "sha256"}`. `limit` and `seed` say how it
    was sampled, if so.
    """

    name: str
    version: int
    relations: tuple[Relation, ...]
    facts: tuple[Fact, ...]
    duplicates: int = 0
    files: tuple[Mapping[str, Any], ...] = ()
    limit: int | None = None
    seed: int | None = None

    def sample(self, limit: int, seed: int = 0) -> FactSet:
        """Return at most `limit` facts of every relation, drawn without replacement and kept in
        order.

        What is drawn of a relation depends on its facts and the seed alone, and on no other
        relation.
        """
        own: dict[str, list[int]] = {relation.id: [] for relation in self.relations}
        for number, fact in enumerate(self.facts):
            own[fact.relation].append(number)
        kept = [
            number
            for relation, numbers in own.items()
            for number in random.Random(f"{seed} {relation}").sample(
                numbers, min(limit, len(numbers))
            )
        ]
        facts = tuple(self.facts[number] for number in sorted(kept))
        return replace(self, facts=facts, duplicates=_repeated(facts), limit=limit, seed=seed)


def fact_task(table: TomlTable) -> FactTask:
    """Return what a table of the kind `facts` declares.

    Raises:
        BenchError: a mistake in it, with file, table and key.
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
    """Return the relations and facts of a task.

    Args:
        task: says which files.
        data: the data folder; a task with a folder of its own does without.

    Raises:
        DataError: a file that is missing or cannot be trusted.
    """
    files: list[Mapping[str, Any]] = []
    relations: dict[str, Relation] = {}
    for place, row in _rows(task, task.relations, data, files):
        relation = _relation(place, row)
        if relation.id in relations:
            raise DataError(f"the relation '{relation.id}' stands twice", where=place)
        relations[relation.id] = relation
    facts = tuple(
        _fact(place, row, relations) for place, row in _rows(task, task.facts, data, files)
    )
    used = {fact.relation for fact in facts}
    if missing := [name for name in relations if name not in used]:
        raise DataError(
            f"{task.name}: the relation '{missing[0]}' has no facts",
            where=str(find_file(task, task.facts, data)),
        )
    return FactSet(
        task.name, task.version, tuple(relations.values()), facts, _repeated(facts), tuple(files)
    )


def find_file(task: FactTask, name: str, data: Path | None) -> Path:
    """Return one of a task's files.

    Raises:
        DataError: it is not there.
    """
    root = task.root or data
    file = None if root is None else root / task.path / name
    if file is None or not file.is_file():
        raise DataError(
            f"{task.name}: there is no file '{name}'"
            + ("" if root else ", and no data folder is given"),
            where=str(file or Path("DIR") / task.path / name),
            fix=f"--data DIR (or FEWBENCH_DATA) with {task.path}/{name} in it"
            if task.root is None
            else None,
        )
    return file


def _rows(
    task: FactTask, name: str, data: Path | None, files: list[Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a file with their places; what was read is added to `files` at the end."""
    file = find_file(task, name, data)
    raw = read_bytes(file)
    count = 0
    for place, row in objects(raw, str(file)):
        yield place, row
        count += 1
    if not count:
        raise DataError(f"{task.name}: no rows", where=str(file))
    files.append(
        {"file": f"{task.path}/{name}", "rows": count, "sha256": hashlib.sha256(raw).hexdigest()}
    )


def _relation(place: str, row: Mapping[str, Any]) -> Relation:
    name, template, label, kind = (
        _text(place, row, key) for key in ("relation", "template", "label", "type")
    )
    if sorted(_BLANK.findall(template)) != ["X", "Y"]:
        raise DataError(
            f"the template '{template}' does not hold just one [X] and one [Y]",
            where=place,
            allowed="[X] for the subject and [Y] for the object, each once",
        )
    return Relation(name, template, label, kind)


def _fact(place: str, row: Mapping[str, Any], relations: Mapping[str, Relation]) -> Fact:
    name = _text(place, row, "relation")
    if name not in relations:
        raise DataError(f"unknown relation '{name}'", where=place, allowed=relations, given=name)
    return Fact(name, _text(place, row, "subject"), _text(place, row, "object"))


def _text(place: str, row: Mapping[str, Any], key: str) -> str:
    if key not in row:
        raise DataError(f"the key '{key}' is missing", where=place, allowed=row, given=key)
    value = row[key]
    if not is_text(value):
        raise DataError(f"'{key}' is {value!r}", where=place, allowed=A_TEXT)
    if not value.strip():
        raise DataError(f"'{key}' is empty", where=place)
    return value


def _repeated(facts: tuple[Fact, ...]) -> int:
    return len(facts) - len(set(facts))
