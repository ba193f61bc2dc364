"""The rows that a stored run was tested on, labels included, for measurements and comparisons.

They never go back into training.
"""

from __future__ import annotations

from fewbench.data.leaks import fingerprint
from fewbench.data.split import draw, make_split
from fewbench.errors import BenchError
from fewbench.registry.protocols import dev_cut_of
from fewbench.store.inputs import task_hash
from fewbench.store.record import Record
from fewbench.types import Example, Rows, Task


def whole_rows(record: Record, rows: Rows) -> tuple[Example, ...]:
    """Return the test rows within a run's limit, with those that are also in its train or dev.

    Raises:
        BenchError: the rows are not those of the run.
    """
    drawn = draw(rows.test, record.run.limit)
    _check(record, fingerprint(drawn), record.whole_test_fingerprint)
    return drawn


def rows_of_run(record: Record, task: Task, rows: Rows) -> tuple[Example, ...]:
    """Return the rows that a run was tested on.

    Args:
        record: of the run.
        task: its task.
        rows: all rows of the task's source.

    Raises:
        BenchError: the rows are not those of the run.
    """
    run, whole = record.run, whole_rows(record, rows)
    if not run.drop_leaks:
        return whole
    cut = dev_cut_of(run.protocol)
    split = make_split(task, rows, run.k, run.seed, limit=run.limit, drop_leaks=True, cut=cut)
    _check(record, split.test_fingerprint, run.test_fingerprint)
    tested = {example.id for example in split.test}
    return tuple(example for example in whole if example.id in tested)


def check_definition(record: Record, task: Task) -> None:
    """Refuse a task, with its prompt, whose definition is not that of a run.

    Runs from before schema 5 do not record it, and pass.

    Raises:
        BenchError: the definitions differ.
    """
    run = record.run
    definition = task_hash(task)
    if run.inputs.known and definition != run.inputs.task:
        raise BenchError(
            f"run {run.key[:8]} has another definition of {task.full_name} than the one here",
            where=f"{task.file or task.full_name}: "
            f"{definition[:8]} here, {run.inputs.task[:8]} in the record",
            allowed="the template, label words, labels, metrics and length that the run had",
            fix="undo the change, or use bench run to make a run of the new definition",
        )


def _check(record: Record, here: str, stored: str) -> None:
    run = record.run
    if here != stored:
        raise BenchError(
            f"the test rows here are not those that run {run.key[:8]} was tested on",
            where=f"{run.task}@{run.source}: {here[:8]} here, {stored[:8]} in the record",
            fix="bench data verify, or --data with the folder it was run on",
        )
