"""Results in the schema of Every Eval Ever, versions 0.2.x: a file per model, a line per answer.

https://github.com/evaleval/every_eval_ever: `eval.schema.json` and
`instance_level_eval.schema.json`. Files also fit version 0.3.0. Scores are means over split seeds,
each seed a training of its own, with standard errors over them; of one seed, accuracy has the
binomial standard error over test rows.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student_t

from fewbench.data.metrics import BOUNDS
from fewbench.export.evaluated import EvaluatedModel, command, common_metrics, source_of
from fewbench.store.cell import TaskCell
from fewbench.store.record import Record
from fewbench.types import Json, Task

VERSION = "0.2.2"
BENCHMARK = DEVELOPER = "fewbench"

LEVEL = 0.95


class EeeFile(NamedTuple):
    """The aggregate file of a model, the path it belongs at, and the path of its samples."""

    path: str
    samples_path: str
    content: Json

    @property
    def evaluation_id(self) -> str:
        """The name by which samples refer to the file."""
        return str(self.content["evaluation_id"])

    @property
    def model_id(self) -> str:
        """The model's name."""
        return str(self.content["model_info"]["id"])


def aggregate(
    model: EvaluatedModel, tasks: Mapping[str, Task], organization: str, retrieved: float
) -> EeeFile:
    """Return the file of a model.

    Args:
        model: with at least one result by a metric of our own (`fewbench.data.metrics.BOUNDS`).
        tasks: those that are known, by name.
        organization: the name of who made the runs.
        retrieved: when the file is made, in seconds since 1970.
    """
    results = [result for column in model.tasks for result in _results(model, column, tasks)]
    records = model.records
    model_id = f"{DEVELOPER}/{model.slug}"
    finished = sorted(filter(None, [record.timing.finished for record in records]))
    content: Json = {
        "schema_version": VERSION,
        "evaluation_id": f"{BENCHMARK}/{model_id}/{retrieved}",
        **({"evaluation_timestamp": finished[-1]} if finished else {}),
        "retrieved_timestamp": str(retrieved),
        "source_metadata": {
            "source_name": "fewbench",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "first_party",
        },
        "eval_library": _library(records),
        "model_info": _model_info(model, model_id),
        "evaluation_results": results,
    }
    name = _uuid([sorted(record.run.key for record in records), results])
    folder = f"data/{BENCHMARK}/{model_id}"
    return EeeFile(f"{folder}/{name}.json", f"{folder}/{name}_samples.jsonl", content)


def with_samples(file: EeeFile, lines: Sequence[Json]) -> tuple[Json, bytes]:
    """Return an aggregate file that names its samples, and the samples as JSON lines."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    data = text.encode("utf-8")
    reference = {
        "format": "jsonl",
        "file_path": file.samples_path,
        "hash_algorithm": "sha256",
        "checksum": hashlib.sha256(data).hexdigest(),
        "total_rows": len(lines),
    }
    return {**file.content, "detailed_evaluation_results": reference}, data


def result_id(column: TaskCell, metric: str) -> str:
    """Return the name of a result within its file."""
    return f"{column.name}/{metric}"


def _results(model: EvaluatedModel, column: TaskCell, tasks: Mapping[str, Task]) -> Iterator[Json]:
    records = model.tasks[column]
    task = source_of(column, tasks)
    for metric in common_metrics(records):
        if metric not in BOUNDS:  # the schema asks for them
            continue
        low, high = BOUNDS[metric]
        yield {
            "evaluation_result_id": result_id(column, metric),
            "evaluation_name": column.name,
            "source_data": _source_data(column, task, records[0]),
            "metric_config": {
                "evaluation_description": _description(model, column, metric, task),
                "metric_id": metric,
                "metric_name": metric,
                "metric_kind": metric,
                "metric_unit": "proportion" if low == 0 else "correlation",
                "lower_is_better": False,
                "score_type": "continuous",
                "min_score": low,
                "max_score": high,
            },
            "score_details": _score(records, metric),
            "generation_config": _generation(model, column, task),
        }


def _description(model: EvaluatedModel, column: TaskCell, metric: str, task: Task | None) -> str:
    title = f"{task.title} " if task else ""
    positive = f" of the class {column.positive}" if metric == "f1" and column.positive else ""
    return f"{title}{metric}{positive} on the test rows of {column.name}, {model.title}"


def _source_data(column: TaskCell, task: Task | None, record: Record) -> Json:
    details = {
        "task_definition": column.definition,
        "train_set": column.train_set,
        "test_set": column.test_set,
    }
    known = {name: value for name, value in details.items() if value}
    if task is None or not task.source.hub:
        return {"dataset_name": column.name, "source_type": "other", "additional_details": known}
    source = task.source
    known |= {"config": source.config} if source.config else {}
    known |= {"revision": source.revision} if source.revision else {}
    size = {"samples_number": record.split.n_test} if record.split.n_test else {}
    return {
        "dataset_name": column.name,
        "source_type": "hf_dataset",
        "hf_repo": source.path,
        "hf_split": source.test,
        **size,
        "additional_details": known,
    }


def _score(records: Sequence[Record], metric: str) -> Json:
    scores = [record.scores["test"][metric] for record in records]
    seeds = [record.run.seed for record in records]
    by_seed = {str(seed): score for seed, score in zip(seeds, scores, strict=True)}
    details: Json = {
        "split_seeds": json.dumps(seeds),
        "scores_by_split_seed": json.dumps(by_seed),
        "runs": json.dumps([record.run.key for record in records]),
    }
    mean = math.fsum(scores) / len(scores)
    spread = _over_seeds(scores) if len(scores) > 1 else _over_rows(mean, metric, records[0])
    return {"score": mean, "details": details, **({"uncertainty": spread} if spread else {})}


def _over_seeds(scores: Sequence[float]) -> Json:
    """Return the uncertainty over split seeds, each of which is a training of its own."""
    n, mean, deviation = len(scores), float(np.mean(scores)), float(np.std(scores, ddof=1))
    error = deviation / math.sqrt(n)
    reach = float(student_t.ppf((1 + LEVEL) / 2, n - 1)) * error
    return {
        "standard_error": {"value": error, "method": "over split seeds, ddof 1"},
        "confidence_interval": {
            "lower": mean - reach,
            "upper": mean + reach,
            "confidence_level": LEVEL,
            "method": "Student's t over split seeds",
        },
        "standard_deviation": deviation,
        "num_samples": n,
    }


def _over_rows(accuracy: float, metric: str, record: Record) -> Json:
    """Return the uncertainty over test rows; empty where it has no closed form."""
    n = record.split.n_test
    if metric != "accuracy" or not n:
        return {}
    error = math.sqrt(accuracy * (1 - accuracy) / n)
    return {
        "standard_error": {"value": error, "method": "binomial, over test rows"},
        "num_samples": n,
    }


def _generation(model: EvaluatedModel, column: TaskCell, task: Task | None) -> Json:
    records = model.tasks[column]
    arguments: Json = {"execution_command": command(records)}
    if template := _template(column, task):
        arguments["prompt_template"] = template
    chosen = {str(r.run.seed): dict(r.selection.settings or {}) for r in records}
    details = {
        "examples_for_training": str(model.terms.k),
        "protocol": model.terms.protocol,
        "settings_by_split_seed": json.dumps(chosen, default=str),
    }
    return {"generation_args": arguments, "additional_details": details}


def _template(column: TaskCell, task: Task | None) -> str:
    """Return the template that a column's runs had; empty if it is not known here."""
    if task is None:
        return ""
    if not column.template:
        return task.template
    named = {prompt.name: prompt.template for prompt in task.prompts}
    return named.get(column.template, "")


def _library(records: Sequence[Record]) -> Json:
    versions = {(record.environment.packages or {}).get("fewbench") for record in records}
    commits = {record.environment.commit for record in records}
    return {
        "name": "fewbench",
        "version": ", ".join(sorted(filter(None, versions))) or "unknown",
        "additional_details": {"commits": ", ".join(sorted(filter(None, commits))) or "unknown"},
    }


def _model_info(model: EvaluatedModel, model_id: str) -> Json:
    run = model.records[0].run
    entrant = model.row.entrant
    student = run.student or run.teacher
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights",
        "method": entrant.method,
        "base_model": entrant.student,
        "base_model_revision": student.revision if student else "",
        "teacher": entrant.teacher,
        "corpus": entrant.corpus,
        "trained": "by fewbench, once for each split seed",
    }
    version = (model.records[0].environment.packages or {}).get("transformers")
    engine = {"name": "transformers", "version": version or "unknown"}
    return {
        "name": model.title,
        "id": model_id,
        "developer": DEVELOPER,
        "inference_engine": engine,
        "additional_details": {name: value for name, value in details.items() if value},
    }


def _uuid(contents: Sequence[object]) -> str:
    """Return a version-4 UUID made of a hash: the same results overwrite their earlier file."""
    digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
