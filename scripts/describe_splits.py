"""Write docs/splits.md: the K-shot splits of every task whose data stands in a data folder, one row
a task and seed.

python scripts/describe_splits.py --data ../shared/data --out docs/splits.md
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fewbench.data.reader import find_file, read_rows
from fewbench.data.split import make_split, stratum
from fewbench.data.task_file import declared, with_source
from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.registry.methods import task_files
from fewbench.registry.tasks import choose_tasks
from fewbench.types import Example, Rows, Split, Task

SEEDS = (13, 21, 42, 87, 100)
K, FEWER = 16, 8
MANY_LABELS = 8
"""Tasks of more labels than this are split at K = 8."""
FEW_ROWS = ("cb",)
"""Tasks whose rarest class has too few rows for K = 16."""

HEAD = """# Splits

Written by the command below; edit nothing by hand.

```
python scripts/describe_splits.py --data ../shared/data --out docs/splits.md
```

One row a task and split seed (published folds: the fold). Train, dev and test are row counts, and `labels` those of
each label, in the task's order, of train / dev / test (`6×16` is sixteen of each of six; regression is counted in
halves of its bounds). Leaks are test rows: `exact` and `normalised` also stand in train or dev, letter for letter and
but for case, punctuation and spacing; `within` repeat an earlier test row. `split` and `test` are the
fingerprints in records.

| task | K | seed | train | dev | test | labels | exact | normalised | within | split | test |
| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | --- | --- |
"""


def describe(tasks: Iterable[Task], data: Path) -> str:
    """Return the document for some tasks: those without data are named below the table."""
    rows: list[str] = []
    notes: list[str] = []
    for task in tasks:
        if not _stands(task, data):
            notes.append(f"- {task.full_name}: not in the data folder")
            continue
        try:
            rows += describe_task(task, data)
        except BenchError as error:
            notes.append(f"- {task.full_name}: {error.problem}")
    rest = ["", "Without splits:", "", *notes] if notes else []
    return HEAD + "\n".join([*rows, *rest]) + "\n"


def describe_task(task: Task, data: Path) -> list[str]:
    """Return a task's lines of the table, one a split."""
    read = read_rows(task, data, offline=True)
    if read.folds:
        return [
            _line(task, make_split(task, read, None, fold), read) for fold in range(len(read.folds))
        ]
    k = FEWER if len(task.labels) > MANY_LABELS or task.name in FEW_ROWS else K
    return [_line(task, make_split(task, read, k, seed), read) for seed in SEEDS]


def every_source() -> list[Task]:
    """Return all declared tasks, once with each of their sources."""
    tasks = declared(task_files([])).tasks.values()
    return [with_source(task, source.name) for task in tasks for source in task.sources]


def _stands(task: Task, data: Path) -> bool:
    try:
        return None not in [find_file(task, data, split) for split in task.source.splits]
    except BenchError:
        return False


def _line(task: Task, split: Split, read: Rows) -> str:
    parts = (split.train, split.dev, read.test)  # a split's own test rows carry no labels
    counts = " / ".join(_counts(task, part) for part in parts)
    cells = [task.full_name, split.k, split.seed, *map(len, parts), counts, *split.leaks.values()]
    return "| " + " | ".join(map(str, [*cells, split.fingerprint, split.test_fingerprint])) + " |"


def _counts(task: Task, examples: Sequence[Example]) -> str:
    found = Counter(stratum(task, example) for example in examples)
    counts = [found[label] for label in range(len(task.labels))]
    return f"{len(counts)}×{counts[0]}" if len(set(counts)) == 1 else " ".join(map(str, counts))


def main() -> None:
    """Write the file, for all tasks or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, help="the file to write; default stdout")
    parser.add_argument(
        "--tasks", nargs="*", help="only these; default every task with each of its sources"
    )
    given = parser.parse_args()
    text = describe(choose_tasks(given.tasks) if given.tasks else every_source(), given.data)
    if given.out is None:
        print(text, end="")
    else:
        write_whole(given.out, text.encode())


if __name__ == "__main__":
    main()
