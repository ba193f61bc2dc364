"""Records that no run made, written through the real store."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from fewbench.record import Record, from_json, run_key
from fewbench.store import Store
from fewbench.types import ModelRef, Predictions

HISTORIC = Path(__file__).parents[1] / "historic" / "schema1.json"
SEEDS = (13, 21, 42)
MODEL = ModelRef("fewbench-tiny", "", "0" * 16, embedded=True)
THIRTY = ("ft", "prompt-ft", "zero-shot", *(f"method-{number:02d}:setting={number}" for number in range(27)))


def make(
    store: Store,
    method: str,
    score: float,
    *,
    task: str = "sst-2",
    k: int = 16,
    seed: int = 13,
    settings: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
    predictions: Predictions | None = None,
    **run: Any,
) -> Record:
    """Store one run with a test score of 0 to 1, and return its record."""
    old = from_json(HISTORIC.read_text("utf-8"), "historic")
    plain = dict(settings or {})
    name, _, typed = method.partition(":")
    plain |= dict(pair.split("=") for pair in typed.split(",") if pair)
    given = {"task": task, "method": name, "k": k, "seed": seed, "settings": plain, "student": MODEL} | run
    fresh = replace(old.run, **given, test_fingerprint="0" * 16, limit=None, drop_leaks=False)
    record = replace(
        old,
        run=replace(fresh, key=run_key(fresh)),
        status="ok",
        error=None,
        scores={"dev": {"accuracy": score}, "test": {"accuracy": score}},
        selection={**old.selection, "metric": "accuracy"},
        details=details or {},
        split={},
        predictions=None,
    )
    store.save(record, predictions)
    return store.find(record.run.key)


def scaling(store: Store, methods: tuple[str, ...] = THIRTY, tasks: tuple[str, ...] = ("sst-2", "mr")) -> None:
    """Store a curve over K for each method and task."""
    rng = random.Random(0)
    for task in tasks:
        for number, method in enumerate(methods):
            for k in (1, 2, 4, 8, 16, 32, 64):
                for seed in SEEDS:
                    score = 0.9 - 0.012 * number - 0.3 / math.sqrt(k) + rng.gauss(0, 0.08 / math.sqrt(k))
                    make(store, method, min(1, max(0, score)), task=task, k=k, seed=seed)
