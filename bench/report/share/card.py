"""The metadata block of a model card, as the hub reads it: YAML with a `model-index` of results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fewbench.report.tables.entry import Entry
from fewbench.types import Task

KINDS = {"choice": "multiple-choice", "regression": "sentence-similarity"}
"""The hub's names of tasks, by our kinds; all others are text classification."""


def model_index(name: str, cells: Sequence[Entry], tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Return the metadata of a model whose results are these cells; scores are 0 to 1.

    Args:
        name: the model's.
        cells: of one method, finished.
        tasks: those that are known, by name.
    """
    return {
        "model-index": [
            {
                "name": name,
                "results": [_result(cell, tasks.get(cell.column.task)) for cell in cells],
            }
        ]
    }


def _result(cell: Entry, task: Task | None) -> dict[str, Any]:
    column = cell.column
    source = next((s for s in task.sources if s.name == column.source), None) if task else None
    kind = KINDS.get(task.kind, "text-classification") if task else "text-classification"
    assert cell.mean is not None
    dataset = {
        "type": source.path if source else column.task,
        "name": f"{column.task}@{column.source}",
    }
    if source:
        dataset |= {"config": source.config} if source.config else {}
        dataset |= {"split": source.test} | (
            {"revision": source.revision} if source.revision else {}
        )
    args = {
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
    }
    metric = {
        "type": column.metric,
        "name": f"{column.metric_name}, mean of {cell.n} seeds, {cell.terms.k}-shot",
        "value": round(cell.mean / 100, 6),
        "args": args,
    }
    return {"task": {"type": kind}, "dataset": dataset, "metrics": [metric]}


def front_matter(metadata: Mapping[str, Any]) -> str:
    """Return metadata between the lines that begin and end a card's block."""
    return "\n".join(["---", *_lines(metadata), "---"])


def _lines(value: Any) -> list[str]:
    """Return a value as block YAML whose keys are plain words of ours and whose scalars are quoted
    as in JSON.
    """
    if isinstance(value, Mapping) and value:
        pairs = ((str(key), _lines(inner), inner) for key, inner in value.items())
        return [line for key, lines, inner in pairs for line in _under(f"{key}:", lines, inner)]
    if isinstance(value, (list, tuple)) and value:
        return [line for inner in value for line in _item(_lines(inner))]
    return [_scalar(value)]


def _under(head: str, lines: list[str], inner: Any) -> list[str]:
    nested = isinstance(inner, (Mapping, list, tuple)) and inner
    return [head, *("  " + line for line in lines)] if nested else [f"{head} {lines[0]}"]


def _item(lines: list[str]) -> list[str]:
    return ["- " + lines[0], *("  " + line for line in lines[1:])]


def _scalar(value: Any) -> str:
    """JSON's scalars are YAML's, but for characters that YAML takes for line ends or refuses."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in text)
