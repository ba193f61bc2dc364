"""Records and predictions to store, and scripts that store them, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fewbench.store.record import Record, from_json, run_key
from fewbench.store.store import Store
from fewbench.types import Predictions

SCHEMA1 = Path(__file__).parent / "historic" / "schema1.json"


def a_record(**changes: Any) -> Record:
    """Return a record whose run differs from the historic one by `changes`."""
    record = from_json(SCHEMA1.read_text("utf-8"), "historic")
    run = replace(record.run, **changes)
    return replace(record, run=replace(run, key=run_key(run)), predictions=None)


def some_predictions(number: float = 0.25, count: int = 5) -> Predictions:
    """Return predictions of two classes, the same for all rows."""
    ids = tuple(f"test-{row}" for row in range(count))
    return Predictions(ids, np.tile(np.array([number, 1 - number], "f4"), (count, 1)))


def files(store: Store) -> list[str]:
    """Return the names of all files in a store."""
    return sorted(file.name for file in store.root.rglob("*") if file.is_file())


def same(ours: Predictions, others: Predictions) -> bool:
    """Whether two predictions are of the same rows in the same order, and equal."""
    return ours.ids == others.ids and np.array_equal(ours.array, others.array)


def run_script(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code that may import what tests import, in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
