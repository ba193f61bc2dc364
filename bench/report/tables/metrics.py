"""Records by other metrics than their task's headline: MRPC's accuracy, the Spearman of STS-B.

A record by another metric answers another question, so that it has a column of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.store.cell import TaskCell
from fewbench.store.record import Record

ALL = "all"


class ByMetric(NamedTuple):
    """Records by some metrics, and the number of finished runs that have none of them."""

    records: list[Record]
    left_out: int


def by_metrics(records: Iterable[Record], names: Sequence[str]) -> ByMetric:
    """Return each record once by each metric asked for that its test scores hold.

    A failed run stands by the metrics that the other runs of its task have.

    Args:
        records: of any tasks.
        names: of metrics, in any order; `all` takes every one.

    Raises:
        BenchError: no record has a score by one of the metrics.
    """
    records = list(records)
    of_task: dict[TaskCell, set[str]] = {}
    for record in records:
        of_task.setdefault(record.question.task.unscored, set()).update(
            record.scores.get("test", {})
        )
    if records:
        check_metrics(names, set().union(*of_task.values()))
    found: list[Record] = []
    left_out = 0
    for record in records:
        failed = record.score is None
        has = of_task[record.question.task.unscored] if failed else record.scores["test"].keys()
        chosen = sorted(has if ALL in names else has & {*names})
        found += [record.by(metric) for metric in chosen]
        if failed and not has:
            found.append(record)
        left_out += not failed and not chosen
    return ByMetric(found, left_out)


def check_metrics(names: Iterable[str], held: Collection[str]) -> None:
    """Refuse a metric that no run has a score by.

    Raises:
        BenchError: there is such a one.
    """
    for name in names:
        if name != ALL and name not in held:
            raise BenchError(
                f"no run that is asked for has a score by '{name}'",
                allowed=[ALL, *sorted(held)],
                given=name,
                fix=ALL,
            )
