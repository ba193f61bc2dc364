"""Answers to test rows as lines of Every Eval Ever's instance-level schema, version 0.2.x."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fewbench.data.spans import as_spans, item_scores, text_of
from fewbench.errors import BenchError
from fewbench.export.eee import VERSION, EeeFile, result_id
from fewbench.export.evaluated import EvaluatedModel
from fewbench.measure.stored import Locations, task_of, test_rows
from fewbench.store.cell import TaskCell
from fewbench.store.record import Record
from fewbench.types import Example, Json, Predictions, Task


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
        asked = [rows[row_id] for row_id in predictions.ids]
        said = (
            _spans(task, asked, predictions)
            if task.format == "span"
            else _classes(task, asked, predictions)
        )
        return [
            _line(file, column, record, row, name, one)
            for row, one in zip(asked, said, strict=True)
        ]

    def _task_and_rows(self, column: TaskCell, record: Record) -> tuple[Task, dict[str, Example]]:
        place = (column, record.run.protocol)
        if place not in self._rows:
            task = task_of(record, self._places)
            rows = test_rows(record, task, self._places)
            self._rows[place] = task, {row.id: row for row in rows}
        return self._rows[place]


class Said(NamedTuple):
    """The answer to a row and the right ones, as texts; its score, 0 to 1, and the classes."""

    given: str
    rights: Sequence[str]
    score: float
    is_correct: bool
    choices: Sequence[str] | None
    how: str


def _classes(task: Task, rows: Sequence[Example], predictions: Predictions) -> Iterator[Said]:
    """Yield the answers to rows with classes: the options of a choice, or the task's labels."""
    for row, answer in zip(rows, predictions.answers.tolist(), strict=True):
        choices, is_right = row.options or task.labels, answer == row.label
        rights = [choices[int(row.label or 0)]]
        how = "the most probable class"
        yield Said(choices[answer], rights, float(is_right), is_right, [*choices], how)


def _spans(task: Task, rows: Sequence[Example], predictions: Predictions) -> Iterator[Said]:
    """Yield the answers to rows with passages; no answer is the empty text."""
    spans = as_spans(predictions.answers)
    scores = item_scores(task, rows, spans, task.metric)
    exact = item_scores(task, rows, spans, "exact_match")
    for row, span, score, match in zip(rows, spans, scores, exact, strict=True):
        rights = [text_of(row, right) for right in row.answers] or [""]
        how = "the likeliest span"
        yield Said(text_of(row, span), rights, float(score), bool(match), None, how)


def _line(
    file: EeeFile, column: TaskCell, record: Record, row: Example, result: str, said: Said
) -> Json:
    raw = "\n".join(row.texts)
    return {
        "schema_version": f"instance_level_eval_{VERSION}",
        "evaluation_id": file.evaluation_id,
        "model_id": file.model_id,
        "evaluation_name": column.name,
        "evaluation_result_id": result,
        "sample_id": row.id,
        "sample_hash": hashlib.sha256((raw + said.rights[0]).encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": raw, "reference": [*said.rights], "choices": said.choices},
        "output": {"raw": [said.given]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": said.given,
                "extraction_method": said.how,
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": said.score, "is_correct": said.is_correct},
        "metadata": {"split_seed": str(record.run.seed), "run": record.run.key},
    }
