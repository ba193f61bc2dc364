"""Answers to test rows as lines of Every Eval Ever's instance-level schema, version 0.2.x."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from fewbench.errors import BenchError
from fewbench.export.eee import VERSION, EeeFile, result_id
from fewbench.export.evaluated import EvaluatedModel
from fewbench.measure.stored import Locations, task_of, test_rows
from fewbench.store.cell import TaskCell
from fewbench.store.record import Record
from fewbench.types import Example, Json, Task


class SampleWriter:
    """Makes the lines of models; the test rows of each task are read once.

    Args:
        places: where records, predictions and data are.
    """

    def __init__(self, places: Locations) -> None:
        self._places = places
        self._rows: dict[tuple[TaskCell, str], tuple[Task, dict[str, Example]]] = {}
        self.left_out: dict[str, int] = {}
        """The number of runs without lines, by the reason."""

    def lines(self, file: EeeFile, model: EvaluatedModel) -> Iterator[Json]:
        """Yield the lines of a model's runs: one for each test row and split seed."""
        for column, records in model.tasks.items():
            for record in records:
                try:
                    yield from self._of_run(file, column, record)
                except BenchError as error:
                    self.left_out[error.problem] = self.left_out.get(error.problem, 0) + 1

    def _of_run(self, file: EeeFile, column: TaskCell, record: Record) -> list[Json]:
        """Return the lines of a run.

        Raises:
            BenchError: its predictions or its test rows are not here, or its answers are values.
        """
        task, rows = self._task_and_rows(column, record)
        if task.is_regression:
            raise BenchError(f"{column.name} asks for values, and a sample is right or wrong there")
        predictions = self._places.store.predictions(record)
        name = result_id(column, record.selection.metric or "")
        lines = []
        for row_id, answer in zip(predictions.ids, predictions.answers.tolist(), strict=True):
            lines.append(_line(file, column, record, rows[row_id], task, name, answer))
        return lines

    def _task_and_rows(self, column: TaskCell, record: Record) -> tuple[Task, dict[str, Example]]:
        place = (column, record.run.protocol)
        if place not in self._rows:
            task = task_of(record, self._places)
            rows = test_rows(record, task, self._places)
            self._rows[place] = task, {row.id: row for row in rows}
        return self._rows[place]


def _line(
    file: EeeFile,
    column: TaskCell,
    record: Record,
    row: Example,
    task: Task,
    result: str,
    answer: int,
) -> Json:
    choices = _choices(row, task)
    given, gold = choices[answer], choices[int(row.label or 0)]
    raw = "\n".join(row.texts)
    return {
        "schema_version": f"instance_level_eval_{VERSION}",
        "evaluation_id": file.evaluation_id,
        "model_id": file.model_id,
        "evaluation_name": column.name,
        "evaluation_result_id": result,
        "sample_id": row.id,
        "sample_hash": hashlib.sha256((raw + gold).encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": raw, "reference": [gold], "choices": [*choices]},
        "output": {"raw": [given]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": given,
                "extraction_method": "the most probable class",
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": float(answer == row.label), "is_correct": answer == row.label},
        "metadata": {"split_seed": str(record.run.seed), "run": record.run.key},
    }


def _choices(row: Example, task: Task) -> Sequence[str]:
    """Return the texts of a row's classes: the options of a choice, or the task's labels."""
    return row.options or task.labels
