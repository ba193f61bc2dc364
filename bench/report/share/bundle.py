"""Records as CSV files: every run, every trial, and the cells of tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fewbench.report.render import to_csv
from fewbench.store.cell import label
from fewbench.store.record import Record
from fewbench.types import Json


def bundle(records: Sequence[Record], cells: Sequence[Json]) -> dict[str, bytes]:
    """Return the files of a bundle by name: `runs.csv`, `trials.csv` and `cells.csv`.

    The cells are those of `bench table --format csv`.
    """
    trials: list[Json] = []
    for record in records:
        trials += _trials(record)
    tables = {
        "runs.csv": [_run(record) for record in records],
        "trials.csv": trials,
        "cells.csv": list(cells),
    }
    return {name: _to_csv(rows) for name, rows in tables.items()}


def _run(record: Record) -> Json:
    run = record.run
    return {
        "key": run.key,
        "task": run.task,
        "source": run.source,
        "task_version": run.task_version,
        "template": run.template,
        "method": label(run.method, run.settings),
        "student": run.student.name if run.student else "",
        "student_revision": run.student.revision if run.student else "",
        "teacher": run.teacher.name if run.teacher else "",
        "k": run.k,
        "seed": run.seed,
        "protocol": run.protocol,
        "limit": run.limit,
        "drop_leaks": run.drop_leaks,
        "arithmetic": run.arithmetic.name,
        "fingerprint": run.fingerprint,
        "test_fingerprint": run.test_fingerprint,
        "status": record.status,
        "error": record.error,
        "method_code": record.method_code,
        "commit": record.environment.commit,
        "device": record.environment.device,
        "total_seconds": record.timing.total_seconds,
        **_scores(record),
    }


def _scores(record: Record) -> dict[str, float]:
    columns = {}
    for part, scores in record.scores.items():
        for metric, score in scores.items():
            columns[f"{part}_{metric}"] = score
    return columns


def _trials(record: Record) -> Iterator[Json]:
    for number, trial in enumerate(record.selection.trials or ()):
        yield {
            "key": record.run.key,
            "trial": number,
            "chosen": number == record.selection.trial,
            "seed": trial.seed,
            "step": trial.step,
            **{f"dev_{name}": value for name, value in trial.dev.items()},
            **{f"setting_{name}": value for name, value in trial.settings.items()},
        }


def _to_csv(rows: Sequence[Json]) -> bytes:
    """Return rows as CSV; a row without a value in some column has an empty cell there."""
    names = dict.fromkeys(name for row in rows for name in row)
    complete = [{**dict.fromkeys(names), **row} for row in rows]
    return (to_csv(complete) + "\n").encode("utf-8")
