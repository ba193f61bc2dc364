"""Records as CSV files: every run, every trial, and the cells of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fewbench.report.render import to_csv
from fewbench.store.cell import label
from fewbench.store.record import Record


def bundle(records: Sequence[Record], cells: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """Return the files of a bundle by name: `runs.csv`, `trials.csv`, and `cells.csv` as `bench
    table --format csv`.
    """
    trials = [row for record in records for row in _trials(record)]
    tables = {
        "runs.csv": [_run(record) for record in records],
        "trials.csv": trials,
        "cells.csv": list(cells),
    }
    return {
        name: (to_csv(_same_keys(rows)) + "\n").encode("utf-8") for name, rows in tables.items()
    }


def _run(record: Record) -> dict[str, Any]:
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
        "fingerprint": run.fingerprint,
        "test_fingerprint": run.test_fingerprint,
        "status": record.status,
        "error": record.error,
        "method_code": record.method_code,
        "commit": record.environment.commit,
        "device": record.environment.device,
        "total_seconds": record.timing.total_seconds,
        **{
            f"{part}_{name}": value
            for part, scores in record.scores.items()
            for name, value in scores.items()
        },
    }


def _trials(record: Record) -> list[dict[str, Any]]:
    return [
        {
            "key": record.run.key,
            "trial": number,
            "chosen": number == record.selection.trial,
            "seed": trial.seed,
            "step": trial.step,
            **{f"dev_{name}": value for name, value in trial.dev.items()},
            **{f"setting_{name}": value for name, value in trial.settings.items()},
        }
        for number, trial in enumerate(record.selection.trials or ())
    ]


def _same_keys(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]
