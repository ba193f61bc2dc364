"""Tasks that a Python user has in memory, written out as the files that they stand for.

A task file and its rows are all that a task is to planner, workers, tables and measurements, so an
object becomes one: in a folder named by the hash of its content, which is never written twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbench.data.reader import check_rows
from fewbench.data.rows import DataRow
from fewbench.data.task_file import task_from
from fewbench.errors import BenchError
from fewbench.io.atomic import make_folder, write_whole
from fewbench.types import Example, Json, Source, Task

if TYPE_CHECKING:
    import pandas as pd

    TableRows = Iterable[Mapping[str, Any]] | pd.DataFrame

MEMORY = "memory"
"""The name of the source of a task whose rows were in memory."""

HASH_DIGITS = 12


@dataclass(frozen=True, eq=False)
class InMemoryTask:
    """A task whose rows are objects in memory: what a task file and its data files would say.

    Args:
        name: lower-case letters, digits and single "-"; no name of a declared task.
        labels: what the classes are called, in the order of their indices; for regression, the
            lower and the upper end.
        train: rows with a value per column: mappings, a pandas.DataFrame or a datasets.Dataset.
        test: likewise.
        template: a text with `{0}`, `{1}` for two texts, `{options}` for a choice, and `{mask}`.
        words: by label, the word (or the words) that stands for it in the place of `{mask}`.
        texts: the columns of an example's texts: one for a single text, two for a pair.
        label: the column of the label: its name, its index, or a value within `bounds`.
        options: the column of a choice's options.
        unlabeled: rows without labels, for methods that read some.
        metric: the headline metric.
        metrics: others that are reported too.
        bounds: the lowest and highest value, for regression.
        positive: the label that F1 is of.
        max_length: tokens per example, at most.
        title: what the task is, in a few words.
        paper: where it comes from.
        licence: of the rows.
        version: to be raised when the rows or the prompt change.
    """

    name: str
    labels: Sequence[str]
    train: TableRows
    test: TableRows
    template: str
    words: Mapping[str, str | Sequence[str]]
    texts: Sequence[str] = ("text",)
    label: str = "label"
    options: str | None = None
    unlabeled: TableRows | None = None
    metric: str = "accuracy"
    metrics: Sequence[str] = ()
    bounds: tuple[float, float] | None = None
    positive: str = ""
    max_length: int = 128
    title: str = ""
    paper: str = "none: rows in memory"
    licence: str = "not given"
    version: int = 1

    def write(self, folder: Path) -> Path:
        """Write the task and its rows below a folder, and return its task file.

        Raises:
            BenchError: a mistake in the declaration.
            DataError: a row that does not fit the task.
            StoreUnwritable: the files cannot be written.
        """
        parts = {"train": _rows(self.train), "test": _rows(self.test)}
        if self.unlabeled is not None:
            parts["unlabeled"] = _rows(self.unlabeled)
        named = all(isinstance(row.get(self.label), str) for row in parts["train"])
        columns = {
            "texts": list(self.texts),
            "label": self.label,
            "options": self.options,
            "values": list(self.labels) if named else None,
        }
        where = Path(f"InMemoryTask('{self.name}')")
        task = task_from(self._content(parts, columns), self.name, where)
        files = {}
        for part, rows in parts.items():
            numbered = [DataRow(f"{part} row {n}", row) for n, row in enumerate(rows)]
            examples = check_rows(task, part, numbered, f"the {part} rows of '{self.name}'")
            files[f"{self.name}/{part}.jsonl"] = _json_lines(examples, len(self.texts))
        written = {
            "texts": _text_columns(len(self.texts)),
            "label": "label",
            "options": "options" if self.options else None,
        }
        return _write(folder, self.name, self._content(parts, written), files)

    def _content(self, parts: Iterable[str], columns: Json) -> Json:
        """Return the content of the task's table in a task file, its rows in some columns."""
        source = {
            "name": MEMORY,
            "folder": ".",
            "path": self.name,
            "train": "train",
            "test": "test",
            "unlabeled": "unlabeled" if "unlabeled" in parts else None,
            "hub": False,
            **columns,
        }
        own_format = "pair" if len(self.texts) == 2 else "single"
        return _without_none(
            {
                "title": self.title or self.name,
                "paper": self.paper,
                "licence": self.licence,
                "version": self.version,
                "format": "choice" if self.options else own_format,
                "labels": list(self.labels),
                "metric": self.metric,
                "metrics": list(self.metrics),
                "positive": self.positive or None,
                "template": self.template,
                "words": {label: _words(words) for label, words in self.words.items()},
                "bounds": None if self.bounds is None else list(self.bounds),
                "max_length": self.max_length,
                "source": [_without_none(source)],
            }
        )


def write_task(task: Task, folder: Path, declared: Mapping[str, Task]) -> str:
    """Return a task's name if it is a declared task, else the path of a file written for it.

    Args:
        task: of any origin.
        folder: where its file goes.
        declared: the tasks that have a file already, by name.

    Raises:
        BenchError: it differs from the declared task of its name.
    """
    known = declared.get(task.name)
    if known is None:
        return str(_write(folder, task.name, _declaration(task), {}))
    if not _same(task, known):
        raise BenchError(
            f"this task differs from the declared '{task.name}'",
            where=known.file,
            fix=f'dataclasses.replace(task, name="my-{task.name}")',
        )
    return f"{task.name}@{task.source.name}"


def _same(task: Task, known: Task) -> bool:
    """True if two tasks differ in nothing but the order of their sources."""
    sources = sorted(task.sources, key=lambda source: source.name)
    others = sorted(known.sources, key=lambda source: source.name)
    return _declaration(task) | {"source": sources} == _declaration(known) | {"source": others}


def _declaration(task: Task) -> Json:
    """Return a task as the content of its table in a task file."""
    return _without_none(
        {
            "title": task.title,
            "paper": task.paper,
            "licence": task.licence,
            "version": task.version,
            "format": task.format,
            "labels": list(task.labels),
            "metric": task.metric,
            "metrics": list(task.metrics),
            "positive": task.positive or None,
            "template": task.template or None,
            "words": _by_label(task, task.words) if task.template else None,
            "bounds": None if task.bounds is None else list(task.bounds),
            "max_length": task.max_length,
            "rule": task.rule,
            "templates": {
                prompt.name: {
                    "template": prompt.template,
                    "words": _by_label(task, prompt.words),
                }
                for prompt in task.prompts
            }
            or None,
            "source": [_source(source) for source in task.sources],
        }
    )


def _by_label(task: Task, words: Sequence[Sequence[str]]) -> Json:
    return {label: list(given) for label, given in zip(task.labels, words, strict=True)}


def _source(source: Source) -> Json:
    """Return a source as its table in a task file."""
    return _without_none(_files(source) | _columns(source) | _rules(source))


def _files(source: Source) -> Json:
    """Return a source's place and the names of its parts."""
    return {
        "name": source.name,
        "folder": None if source.root is None else str(source.root.resolve()),
        "path": source.path or None,
        "config": source.config or None,
        "train": source.train,
        "dev": source.dev,
        "folds": source.folds or None,
        "test": source.test,
        "unlabeled": source.unlabeled,
    }


def _columns(source: Source) -> Json:
    """Return the columns of a source's rows, and the values of its labels."""
    values = source.values
    return {
        "texts": list(source.texts),
        "label": source.label,
        "options": source.options,
        "columns": None if source.columns is None else list(source.columns),
        "values": list(values) if isinstance(values, tuple) else values,
    }


def _rules(source: Source) -> Json:
    """Return the rules for reading a source: if from the Hub, and what its rows may lack."""
    return {
        "hub": source.hub,
        "revision": source.revision,
        "may_be_empty": source.may_be_empty or None,
        "may_repeat_options": source.may_repeat_options or None,
        "may_lack_options": source.may_lack_options or None,
        "join": None if source.join is None else [source.join],
        "drop": list(source.drop) or None,
    }


def _write(folder: Path, name: str, content: Json, files: Mapping[str, bytes]) -> Path:
    """Write a task file and data files into a folder of their content's hash; return the first."""
    import tomli_w

    written = {f"{name}.toml": tomli_w.dumps({name: content}).encode(), **files}
    digest = hashlib.sha256()
    for file_name, data in written.items():
        digest.update(f"{file_name}\0{len(data)}\0".encode() + data)
    place = folder / digest.hexdigest()[:HASH_DIGITS]
    for file_name, data in reversed(written.items()):
        file = place / file_name
        if not file.is_file():
            make_folder(file.parent)
            write_whole(file, data)
    return place / f"{name}.toml"


def _rows(table: TableRows) -> list[Json]:
    """Return a table's rows as plain objects; NumPy's numbers become Python's."""
    is_frame = hasattr(table, "itertuples")
    rows: Iterable[Mapping[Any, Any]] = table.to_dict("records") if is_frame else table  # type: ignore[union-attr, assignment]
    return [_plain_row(row) for row in rows]


def _plain_row(row: Mapping[Any, Any]) -> Json:
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def _text_columns(count: int) -> list[str]:
    return ["text"] if count == 1 else [f"text{n}" for n in range(1, count + 1)]


def _json_lines(examples: Iterable[Example], texts: int) -> bytes:
    """Return examples as JSON lines, their texts in the columns of `_text_columns`."""
    lines = []
    for example in examples:
        row: Json = dict(zip(_text_columns(texts), example.texts, strict=False))
        if example.label is not None:
            row["label"] = example.label
        if example.options:
            row["options"] = list(example.options)
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


def _words(words: str | Sequence[str]) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def _without_none(content: Json) -> Json:
    return {key: value for key, value in content.items() if value is not None}
