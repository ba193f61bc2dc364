"""Stored results of a method, task by task: the evidence on its page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fewbench.data.train_size import k_order
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import PLUS
from fewbench.registry.protocols import ddofs
from fewbench.report.statistics.interval import interval
from fewbench.report.tables.blocks import Block, Scores, TableRow, build
from fewbench.report.today import UNRECORDED, Today
from fewbench.store.cell import TaskCell
from fewbench.store.store import Store
from fewbench.types import K


class Evidence(NamedTuple):
    """The mean of a method's stored runs on one task, in percent; None where no run has a score.

    `typed` is the method with its settings. `low` and `high` bound the mean over `n` split seeds at
    95 %. `remarks` say what a reader has to know: other code than today's, failed runs, other rows.
    """

    typed: str
    student: str
    teacher: str
    task: str
    metric: str
    k: K
    protocol: str
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    n: int
    remarks: tuple[str, ...]


def evidence(store: Store) -> dict[str, list[Evidence]]:
    """Return the evidence of a store by method, sorted as by `evidence_of`.

    Methods without runs have no entry; damaged records are left out, and noted in the store.
    """
    records = list(store.records())
    used = {record.run.method for record in records}
    installed = {name: method for name, method in methods().items() if name in used}
    code = {name: method.code_hash() for name, method in installed.items()}
    return evidence_of(build(records, code, ddofs(), Today().changed))


def evidence_of(blocks: Iterable[Block]) -> dict[str, list[Evidence]]:
    """Return the evidence in some blocks: by method, and a pipeline's for each of its steps.

    Rows are sorted by task, K (most examples first), protocol and mean (best first).
    """
    found: dict[str, list[Evidence]] = {}
    for block in blocks:
        for (row, column), scores in block.cells.items():
            line = _line(block, row, column, scores)
            for name in dict.fromkeys(row.method.partition(":")[0].split(PLUS)):
                found.setdefault(name, []).append(line)
    return {name: sorted(lines, key=_order) for name, lines in sorted(found.items())}


def _line(block: Block, row: TableRow, column: TaskCell, scores: Scores) -> Evidence:
    low, high = interval(list(scores.scores.values()))
    std = scores.std(block.ddof) if scores.n > 1 else None
    return Evidence(
        typed=row.method,
        student=row.student,
        teacher=row.entrant.teacher,
        task=column.name,
        metric=column.metric_name,
        k=block.terms.k,
        protocol=block.terms.protocol,
        mean=_percent(scores.mean if scores.n else None),
        std=_percent(std),
        low=_percent(low),
        high=_percent(high),
        n=scores.n,
        remarks=tuple(_remarks(block, scores)),
    )


def _percent(score: float | None) -> float | None:
    return None if score is None else round(100 * score, 2)


def _remarks(block: Block, scores: Scores) -> Iterator[str]:
    if block.terms.limit is not None:
        yield f"{block.terms.limit} test rows only"
    if block.terms.drop_leaks:
        yield "without test rows that stand in train or dev"
    if scores.failed:
        yield f"{scores.failed} failed"
    if scores.doubled:
        yield "several runs of one seed, which count in no mean"
    if scores.stale:
        yield "made by older code"
    changed = [part for part in scores.changed if part != UNRECORDED]
    if changed:
        yield f"made from earlier {' and '.join(changed)}"


def _order(line: Evidence) -> tuple[str, tuple[int, ...], str, float, str, str, str]:
    first, second = k_order(line.k)
    mean = math.inf if line.mean is None else -line.mean
    place = line.typed, line.student, line.teacher
    return line.task, (-first, -second), line.protocol, mean, *place
