"""Results as the hub's `.eval_results/*.yaml`: a file per task, for a model's repository.

https://huggingface.co/docs/hub/eval-results. A result names a benchmark on the hub by its data set
and a task in it; tasks whose rows are not on the hub have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fewbench.report.share.card import shots, source_named, to_yaml
from fewbench.report.tables.entry import Entry
from fewbench.types import Json, Task

FOLDER = ".eval_results"
DEFAULT_TASK = "default"
"""The task of a data set without configurations."""


class EvalResultFiles(NamedTuple):
    """Files by path within the model's repository, and the tasks that have none."""

    files: dict[str, str]
    without: list[str]


def eval_results(
    cells: Iterable[Entry], tasks: Mapping[str, Task], date: str | None, url: str | None
) -> EvalResultFiles:
    """Return the files of some results; scores are 0 to 1.

    Args:
        cells: of one method and model, finished.
        tasks: those that are known, by name.
        date: when the last of the runs was made, if that is known.
        url: where runs and logs can be seen, if anywhere.
    """
    entries: dict[str, list[Json]] = {}
    without = []
    for cell in cells:
        entry = _entry(cell, tasks.get(cell.column.task), date, url)
        if entry is None:
            without.append(cell.column.name)
        else:
            entries.setdefault(_file(cell), []).append(entry)
    texts = {f"{FOLDER}/{name}.yaml": to_yaml(of_file) for name, of_file in entries.items()}
    return EvalResultFiles(texts, sorted(set(without)))


def _file(cell: Entry) -> str:
    return re.sub("[^a-z0-9.-]+", "-", f"{cell.column.task}-{cell.column.source}".lower())


def _entry(cell: Entry, task: Task | None, date: str | None, url: str | None) -> Json | None:
    source = source_named(task, cell.column.source)
    if source is None or not source.hub:
        return None
    assert cell.mean is not None
    dataset = {"id": source.path, "task_id": source.config or DEFAULT_TASK}
    dataset |= {"revision": source.revision} if source.revision else {}
    return {
        "dataset": dataset,
        "value": round(cell.mean / 100, 6),
        **({"date": date} if date else {}),
        **({"source": {"url": url, "name": "fewbench"}} if url else {}),
        "notes": _notes(cell),
    }


def _notes(cell: Entry) -> str:
    """Say how a score was made: its metric, method, examples, seeds and protocol."""
    seeds = "one split seed" if cell.n == 1 else f"mean of {cell.n} split seeds"
    if cell.std is not None:
        seeds += f", std {cell.std / 100:.4f}"
    column = cell.column
    return "; ".join(
        [
            f"{column.metric_name} on {column.name}",
            f"{cell.row.method}, {shots(cell.terms.k)}",
            seeds,
            f"fewbench protocol {cell.terms.protocol}",
        ]
    )
