"""Records that no run made, written through the real store."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fewbench.store.measurement import measured, write
from fewbench.store.parts import Environment, SplitFacts
from fewbench.store.record import Record, from_json, run_key
from fewbench.store.store import Store
from fewbench.types import ModelRef, Predictions

HISTORIC = Path(__file__).parents[1] / "historic" / "schema1.json"
SEEDS = (13, 21, 42)
MODEL = ModelRef("fewbench-micro", "", "0" * 16, embedded=True)
THIRTY = (
    "ft",
    "prompt-ft",
    "zero-shot",
    *(f"method-{number:02d}:setting={number}" for number in range(27)),
)


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
    given = {
        "task": task,
        "method": name,
        "k": k,
        "seed": seed,
        "settings": plain,
        "student": MODEL,
    } | run
    fresh = replace(old.run, **given, test_fingerprint="0" * 16, limit=None, drop_leaks=False)
    record = replace(
        old,
        run=replace(fresh, key=run_key(fresh)),
        status="ok",
        error=None,
        scores={"dev": {"accuracy": score}, "test": {"accuracy": score}},
        selection=replace(old.selection, metric="accuracy"),
        details=details or {},
        split=SplitFacts(),
        predictions=None,
    )
    store.save(record, predictions)
    return store.find(record.run.key)


def everything(store: Store) -> None:
    """Store what every figure needs, for thirty methods where it shows methods."""
    rng = random.Random(1)
    teacher = make(store, "ft", 0.9, task="cr", predictions=_answers(rng, None))
    for number, method in enumerate(THIRTY):
        for k in (4, 16):
            for seed in SEEDS[:2]:
                record = make(
                    store,
                    method,
                    0.9 - 0.01 * number - 0.4 / k + rng.gauss(0, 0.01),
                    k=k,
                    seed=seed,
                )
        cost = {
            "latency_ms": {"1": {"model": {"median": 200, "processor": 2 + 30 / (number + 1)}}},
            "parameters": {"total": 1e6 * (number + 1)},
        }
        _measure(store, record, "cost", cost)
        taught = {"teacher": {"run": teacher.run.key, "code": teacher.method_code}}
        student = make(
            store,
            method,
            0.8,
            task="cr",
            seed=21,
            details=taught,
            predictions=_answers(rng, number / 40),
        )
        _measure(
            store,
            student,
            "attack",
            {"after_attack_accuracy": 0.05 + 0.01 * number},
            "textfooler-paper",
        )
    for seed in SEEDS[:2]:
        for t in range(4):
            _exiting(store, {"patience": t}, 0.7 + 0.03 * t - 0.01 * t * t, 3 - 0.6 * t, seed)
            _exiting(
                store,
                {"rule": "entropy", "threshold": t / 10},
                0.68 + 0.01 * t,
                2.8 - 0.4 * t,
                seed,
            )
        make(store, "ft", 0.72, task="mr", seed=seed)
        for method in ("prompt-ft", "zero-shot", "amulap"):
            for place, template in enumerate(("", "man-2", "gen-1")):
                make(
                    store,
                    method,
                    0.8 - 0.05 * place + rng.gauss(0, 0.02),
                    task="mpqa",
                    seed=seed,
                    template=template,
                )
        for steps in (100, 200, 400):
            for objective in ("ce", "rule"):
                settings = {"objective": objective, "pretrain_steps": steps}
                score = 0.5 + steps / (2000 if objective == "ce" else 4000) + rng.gauss(0, 0.01)
                make(store, "smash", score, task="rte", seed=seed, settings=settings, teacher=MODEL)
        make(store, "prompt-ft", 0.5, task="rte", seed=seed)
        _learning(store, rng, seed)


def _learning(store: Store, rng: random.Random, seed: int) -> None:
    """Store a swept setting, a teacher and students with dev curves, and measured layers."""
    for temperature in (1.0, 2.0, 5.0, 10.0, 50.0):
        for method in ("vanilla-kd", "prompt-kd"):
            reached = 0.5 + 0.02 * temperature**0.5 + rng.gauss(0, 0.01)
            settings = {"temperature": temperature}
            make(store, method, reached, task="qnli", seed=seed, settings=settings)

    def curve(end: float) -> list[list[float]]:
        return [[step, end * step / 100 + rng.gauss(0, 0.02)] for step in range(20, 101, 20)]

    teacher = make(store, "ft", 0.9, task="cola", seed=seed, details={"curve": curve(0.9)})
    taught = {"teacher": {"run": teacher.run.key, "code": teacher.method_code}}
    for method in ("vanilla-kd", "metadistil", "pkd"):
        details = {**taught, "curve": curve(0.8)}
        if method == "metadistil":
            details["teacher_curve"] = curve(0.7)
        make(store, method, 0.8, task="cola", seed=seed, details=details)
    for method in ("pabee", "pabee:rule=entropy"):
        record = make(store, method, 0.8, task="trec", seed=seed)
        errors = [0.5 - 0.05 * layer + 0.004 * layer**2 for layer in range(12)]
        entropies = [0.6 - 0.04 * layer for layer in range(12)]
        _measure(store, record, "layers", {"error": errors, "entropy": entropies})


def _exiting(
    store: Store, settings: dict[str, Any], score: float, speed_up: float, seed: int
) -> None:
    make(
        store,
        "pabee",
        score,
        task="mr",
        seed=seed,
        settings=settings,
        details={"exits": {"speed_up": speed_up}},
    )


def _answers(rng: random.Random, apart: float | None) -> Predictions:
    """Return 50 answers of two classes; those `apart` from the teacher's are the others."""
    sure = np.array(
        [0.9 if row % 2 and (apart is None or rng.random() > apart) else 0.1 for row in range(50)],
        "f4",
    )
    return Predictions(tuple(f"test-{row}" for row in range(50)), np.stack([sure, 1 - sure], 1))


def _measure(
    store: Store, record: Record, kind: str, scores: dict[str, Any], name: str = ""
) -> None:
    write(
        store,
        record,
        measured(record, kind, name, settings={}, scores=scores, environment=Environment()),
    )


def pretrainings(
    root: Path, strategies: tuple[str, ...] = ("random", "span", "pmi", "informask")
) -> None:
    """Write reports of pretrainings as `scripts/compare_masking.py` keeps them."""
    folder = root / "pretraining" / "masking"
    folder.mkdir(parents=True)
    for number, masking in enumerate(strategies):
        for seed in range(2):
            points = range(0, 6)
            curve = [
                {
                    "tokens": t * 10**6,
                    "mrr": 0.02 * t + 0.004 * number * t,
                    "held_out_loss": 9 - t - 0.1 * seed,
                }
                for t in points
            ]
            report = {"recipe": {"masking": masking, "seed": seed}, "curve": curve}
            (folder / f"{masking}-s{seed}.json").write_text(json.dumps(report), "utf-8")


def masking_rates(root: Path) -> None:
    """Write a report of masking rates as `scripts/masking_rates.py` keeps it."""
    kinds = {"the": "common", "of": "common", "airways": "part of a name", "nairobi": "name"}
    words = [
        {
            "word": word,
            "kind": kind,
            "share": 0.06 / (number + 1),
            "seen": 400,
            "rates": {"random": 0.15, "pmi": 0.1 + 0.02 * number, "informask": 0.05 * (number + 1)},
        }
        for number, (word, kind) in enumerate(kinds.items())
    ]
    report = {"overall": {"random": 0.15, "pmi": 0.15, "informask": 0.15}, "words": words}
    (root / "pretraining" / "rates").mkdir(parents=True)
    (root / "pretraining" / "rates" / "report.json").write_text(json.dumps(report), "utf-8")
