"""The metadata block of a model card, as the hub reads it: YAML with a `model-index` of results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from fewbench.data.train_size import k_title
from fewbench.report.tables.entry import Entry
from fewbench.types import Json, K, Source, Task

KINDS = {
    "choice": "multiple-choice",
    "regression": "sentence-similarity",
    "span": "question-answering",
}
"""The hub's names of tasks, by our kinds."""

OTHER_KINDS = "text-classification"


def model_index(name: str, cells: Sequence[Entry], tasks: Mapping[str, Task]) -> Json:
    """Return the metadata of a model whose results are these cells; scores are 0 to 1.

    Args:
        name: the model's.
        cells: of one method, finished.
        tasks: those that are known, by name.
    """
    results = [_result(cell, tasks.get(cell.column.task)) for cell in cells]
    return {"model-index": [{"name": name, "results": results}]}


def front_matter(metadata: Json) -> str:
    """Return metadata as YAML between the lines that begin and end a card's block."""
    return "\n".join(["---", *_lines(metadata), "---"])


def to_yaml(value: object) -> str:
    """Return a value as a file of YAML.

    Strings are quoted as in JSON. Without quotes, the hash `1234567890e12345` would be a number to
    some readers of YAML and a text to others.
    """
    return "\n".join(_lines(value)) + "\n"


def _lines(value: object) -> list[str]:
    """Return the lines of a value in YAML's block style."""
    lines: list[str] = []
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            lines += _entry(f"{key}:", inner)
    elif isinstance(value, list) and value:
        for inner in value:
            first, *rest = _lines(inner)
            lines += [f"- {first}", *map(_indented, rest)]
    else:
        lines.append(_scalar(value))
    return lines


def _entry(head: str, value: object) -> list[str]:
    lines = _lines(value)
    if isinstance(value, (dict, list)) and value:
        return [head, *map(_indented, lines)]
    return [f"{head} {lines[0]}"]


def _indented(line: str) -> str:
    return f"  {line}"


def _scalar(value: object) -> str:
    """Return a scalar, or something empty, as JSON without the characters that YAML refuses."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in text)


def _result(cell: Entry, task: Task | None) -> Json:
    kind = KINDS.get(task.kind, OTHER_KINDS) if task else OTHER_KINDS
    return {"task": {"type": kind}, "dataset": _dataset(cell, task), "metrics": [_metric(cell)]}


def _dataset(cell: Entry, task: Task | None) -> Json:
    column = cell.column
    name = f"{column.task}@{column.source}"
    source = source_named(task, column.source)
    if source is None:
        return {"type": column.task, "name": name}
    dataset = {"type": source.path, "name": name}
    if source.config:
        dataset["config"] = source.config
    dataset["split"] = source.test
    if source.revision:
        dataset["revision"] = source.revision
    return dataset


def source_named(task: Task | None, name: str) -> Source | None:
    """Return the source of a task by name; None if either is not known here."""
    sources = task.sources if task else ()
    return next((source for source in sources if source.name == name), None)


def _metric(cell: Entry) -> Json:
    assert cell.mean is not None
    column = cell.column
    seeds = "one seed" if cell.n == 1 else f"mean of {cell.n} seeds"
    return {
        "type": column.metric,
        "name": f"{column.metric_name}, {seeds}, {shots(cell.terms.k)}",
        "value": round(cell.mean / 100, 6),
        "args": {
            "shots": cell.terms.k,
            "protocol": cell.terms.protocol,
            "seeds": cell.n,
            "std": None if cell.std is None else round(cell.std / 100, 6),
            "ddof": cell.ddof,
            "definition": column.definition or None,
            "train_set": column.train_set or None,
            "test_set": column.test_set,
            "method": cell.row.method,
            "student": cell.row.student or None,
        },
    }


def shots(k: K) -> str:
    """Name a K as the hub does: `16-shot`."""
    return f"{k}-shot" if isinstance(k, int) else k_title(k)
