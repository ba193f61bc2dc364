"""Stored runs by the model that they speak of, as formats of other projects ask for them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fewbench.data.train_size import k_title
from fewbench.io.checked_json import joint_hash
from fewbench.report.tables.blocks import Changed, TableRow, places, without_doubled
from fewbench.report.today import UNRECORDED
from fewbench.store.cell import TaskCell, Terms
from fewbench.store.record import Record
from fewbench.types import Task


class EvaluatedModel(NamedTuple):
    """A method with its models under the terms of one table, and its runs by task.

    `tasks` has the finished runs of each task, by split seed: each is a training of its own.
    """

    row: TableRow
    terms: Terms
    tasks: Mapping[TaskCell, Sequence[Record]]

    @property
    def records(self) -> list[Record]:
        """All its runs."""
        return [record for of_task in self.tasks.values() for record in of_task]

    @property
    def title(self) -> str:
        """The model in words: `prompt-ft of roberta-base, K=16, lm-bff-v1`."""
        entrant = self.row.entrant
        models = " of ".join(filter(None, [entrant.method, entrant.student]))
        teacher = f"taught by {entrant.teacher}" if entrant.teacher else ""
        terms = self.terms
        return ", ".join(filter(None, [models, teacher, k_title(terms.k), terms.protocol]))

    @property
    def slug(self) -> str:
        """The model as a folder's name, with digits that no other model has."""
        entrant, terms = self.row.entrant, self.terms
        words = f"{entrant.method} {entrant.student} k{terms.k} {terms.protocol}"
        readable = re.sub("[^A-Za-z0-9.]+", "-", words).strip("-.")[:70].rstrip("-.")
        return f"{readable}-{joint_hash(self.row, terms)[:8]}"


class Evaluations(NamedTuple):
    """The models of some runs, and the number of runs that were left out, by the reason."""

    models: list[EvaluatedModel]
    left_out: dict[str, int]


def evaluations(records: Sequence[Record], changed: Changed) -> Evaluations:
    """Group finished runs on whole test sets by model, terms and task.

    Runs that were made from other declarations than today's are left out, and so are those that
    share cell and seed with another.

    Args:
        records: of any methods and tasks, those of one cell under one name.
        changed: names the inputs of a run that are not today's.
    """
    whole = [record for record in records if record.comparable and record.score is not None]
    today = [record for record in whole if not {*changed(record)} - {UNRECORDED}]
    kept = without_doubled(today)
    groups: dict[tuple[TableRow, Terms], dict[TaskCell, list[Record]]] = {}
    for record, place in zip(kept, places(kept, changed), strict=True):
        of_model = groups.setdefault((place.row, place.terms), {})
        of_model.setdefault(place.column, []).append(record)
    models = []
    for (row, terms), of_model in sorted(groups.items(), key=lambda item: repr(item[0])):
        models.append(EvaluatedModel(row, terms, _by_seed(of_model)))
    counts = {
        "failed, or tested on a part of the test rows": len(records) - len(whole),
        "not made from what is declared today": len(whole) - len(today),
        "one of several of their cell and split seed": len(today) - len(kept),
    }
    return Evaluations(models, {why: count for why, count in counts.items() if count})


def _by_seed(tasks: Mapping[TaskCell, Sequence[Record]]) -> dict[TaskCell, list[Record]]:
    return {
        column: sorted(tasks[column], key=lambda record: record.run.seed)
        for column in sorted(tasks)
    }


def command(records: Sequence[Record]) -> str:
    """Return the command that makes some runs of one model on one task again."""
    run = records[0].run
    words = ["bench", "run", "--methods", _label(records[0])]
    words += ["--tasks", f"{run.task}@{run.source}", "--k", str(run.k)]
    words += ["--seeds", ",".join(str(record.run.seed) for record in records)]
    words += ["--protocol", run.protocol]
    options = {
        "--template": run.template,
        "--student": run.student.name if run.student else "",
        "--teacher": run.teacher.name if run.teacher else "",
        "--corpus": run.corpus.name if run.corpus else "",
    }
    for option, value in options.items():
        words += [option, value] if value else []
    return shlex.join(words)


def _label(record: Record) -> str:
    return record.cell.entrant.method


def source_of(column: TaskCell, tasks: Mapping[str, Task]) -> Task | None:
    """Return the task of a column with its source first; None if it is not declared here."""
    from fewbench.data.task_file import with_source

    task = tasks.get(column.task)
    if task is None or column.source not in {source.name for source in task.sources}:
        return None
    return with_source(task, column.source)


def common_metrics(records: Iterable[Record]) -> list[str]:
    """Return the metrics that all runs were scored by, the headline metric first."""
    first, *others = (record.scores["test"] for record in records)
    shared = set(first).intersection(*others)
    return [name for name in first if name in shared]
