"""Declare facts for a probe: relations with templates, subjects and objects, as in LAMA.

A probe asks a masked language model for the object: "[X] was born in [Y] ." with the subject at [X]
and the mask at [Y] (Petroni et al., 2019). Facts of ConceptNet and SQuAD have sentences of their
own instead, with "[MASK]" at the object. Nothing is trained on facts, so they have no splits,
labels or label words; a table with `kind = "facts"` declares them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from fewbench.io.toml import TomlTable
from fewbench.types import SourceFile

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
            self, facts=facts, duplicates=count_duplicates(facts), limit=limit, seed=seed
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
        if not task.columns.sentences and not has_blanks(relation.template):
            problem = f"the template '{relation.template}' of '{relation.id}'"
            raise table.error("relation", problem, allowed=BLANKS)


def has_blanks(template: str) -> bool:
    """True if a template has one [X] and one [Y]."""
    return sorted(_BLANK.findall(template)) == ["X", "Y"]


def count_duplicates(facts: tuple[Fact, ...]) -> int:
    """Count the facts that repeat an earlier one."""
    return len(facts) - len(set(facts))
