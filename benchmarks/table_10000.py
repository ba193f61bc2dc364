"""How long `bench table` takes over 10,000 records: whole processes over a temporary store of
synthetic records.

The records are the size of real ones: nine trials, ten dev checkpoints, label words, an
environment, and the hashes of what a run was made from, of which each split has its own.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from measure import Seconds, interleave, process

from fewbench.registry.protocols import protocols
from fewbench.registry.tasks import choose_tasks
from fewbench.store import paths
from fewbench.store.inputs import protocol_hash, task_hash
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts, Trial
from fewbench.store.record import Record, run_key, to_json
from fewbench.types import Inputs, ModelRef, Run

TASKS = (
    "sst-2",
    "mr",
    "cr",
    "mpqa",
    "subj",
    "trec",
    "sst-5",
    "mnli",
    "snli",
    "qnli",
    "rte",
    "mrpc",
    "qqp",
    "sts-b",
)
PROTOCOL = "lm-bff-v1"
SEEDS = (13, 21, 42, 87, 100)
SIZES = (16, 8, 4)
PANDAS = """
import sys
import pandas as pd
scores = pd.read_parquet(sys.argv[1])
rows = ["k", "method", "temperature"]
print(scores.pivot_table(index=rows, columns="task", values="score", aggfunc=["mean", "std"]))
"""
"""The strongest peer: no record is read, checked or told from another, its scores alone are."""

STUDENT = ModelRef("synthetic", "", "0" * 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--records", type=int, default=10_000, help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="measured rounds of each (default: %(default)s)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write(root, arguments.records)
        files = paths.record_files(root / "runs", print)
        size = sum(file.stat().st_size for file in files) / len(files)
        print(f"{len(files)} records of {size:.0f} bytes on average")
        bench = [sys.executable, "-m", "fewbench", "table", "--results"]
        scores = root / "scores.parquet"
        pd.DataFrame([row(run) for run in itertools.islice(runs(), arguments.records)]).to_parquet(
            scores
        )
        empty = root / "empty"
        empty.mkdir()
        interleave(
            {
                "python -c pass": process([sys.executable, "-c", "pass"]),
                "reading the files alone": lambda: Seconds.of(
                    lambda: [file.read_bytes() for file in files]
                ),
                "pandas, scores in one Parquet file": process(
                    [sys.executable, "-c", PANDAS, str(scores)]
                ),
                "bench table, no records": process([*bench, str(empty)]),
                "bench table": process([*bench, str(root)]),
                "bench table --format csv": process([*bench, str(root), "--format", "csv"]),
            },
            arguments.rounds,
        )


def row(run: Run) -> dict[str, object]:
    """Return what a table needs of a run, and nothing else that its record holds."""
    (score,) = record(run).scores["test"].values()
    settings = run.settings["temperature"]
    return {
        "method": run.method,
        "temperature": settings,
        "k": run.k,
        "task": run.task,
        "score": score,
    }


def write(root: Path, count: int) -> None:
    """Write records as the store does, but without its fsync each, which would take minutes.

    Raises:
        SystemExit: the disk has no room for them.
    """
    if shutil.disk_usage(root).free < count * 20_000:
        raise SystemExit(f"error: {count} records need about {count // 50} MB in {root}")
    for run in itertools.islice(runs(), count):
        file = paths.folder(root / "runs", run) / paths.names(run)[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(to_json(record(run)), "utf-8")


def runs() -> Iterator[Run]:
    """Yield runs for ever: fourteen tasks in three sizes with five seeds, then the same with
    another setting. Their tasks and protocol are those of today.
    """
    declared = {task.name: task for task in choose_tasks(TASKS)}
    definitions = {name: task_hash(task) for name, task in declared.items()}
    constants = protocol_hash(protocols()[PROTOCOL])
    for variant in itertools.count():
        for k, task, seed in itertools.product(SIZES, TASKS, SEEDS):
            run = Run(
                task=task,
                task_version=1,
                source=declared[task].source.name,
                method=f"method-{variant % 12}",
                settings={"temperature": float(variant)},
                student=STUDENT,
                teacher=None,
                k=k,
                seed=seed,
                protocol=PROTOCOL,
                fingerprint=digits(task, k, seed),
                test_fingerprint=digits(task),
                inputs=Inputs(
                    task=definitions[task],
                    train_set=digits(task, "train"),
                    test_set=digits(task, "test"),
                    split=digits(task, k, seed, "split"),
                    protocol=constants,
                    trials=digits(variant % 12, k),
                    settings=digits(variant),
                ),
            )
            yield replace(run, key=run_key(run))


def digits(*parts: object) -> str:
    """Return sixteen hexadecimal digits, the same for the same parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def record(run: Run) -> Record:
    """Return a finished run's record with random scores, the same for the same run."""
    dice = random.Random(run.key)
    metric = {"sts-b": "pearson", "mrpc": "f1", "qqp": "f1"}.get(run.task, "accuracy")
    grid = [{"lr": lr, "batch_size": size} for lr in (1e-5, 2e-5, 5e-5) for size in (2, 4, 8)]
    trials = [
        Trial(settings=one, seed=run.seed, dev={metric: dice.random()}, step=100) for one in grid
    ]
    return Record(
        run=run,
        status="ok",
        scores={part: {metric: dice.uniform(0.5, 0.95)} for part in ("dev", "test")},
        selection=Selection(
            metric=metric, settings=grid[0], trial=0, trials=tuple(trials), tied_best=1
        ),
        split=SplitFacts(
            n_train=2 * run.k, n_dev=2 * run.k, n_test=2000, leaks={"train": 0, "dev": 0}
        ),
        details={
            "best_step": 100,
            "curve": [[step, dice.random()] for step in range(100, 1001, 100)],
            "losses": [dice.random() for _ in range(10)],
            "label_words": ["terrible", "great"],
            "template": "{0} It was {mask}.",
        },
        method_code="0" * 16,
        environment=Environment(python="3", packages={"torch": "2"}, device="cpu", threads=1),
        timing=RunTiming(
            total_seconds=dice.uniform(10, 100),
            trial_seconds=tuple(dice.uniform(1, 10) for _ in grid),
        ),
    )


if __name__ == "__main__":
    main()
