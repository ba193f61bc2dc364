"""What the benchmarks share: rounds in turn, medians and ratios, and a sentiment task over a plain
JSONL file.

No number here is asserted on: a busy machine makes everything slower, but both sides of a ratio
alike.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.registry.pretrained import embedded_models, find_model
from fewbench.registry.protocol import Protocol
from fewbench.types import Example, ModelRef, Source, Task

PROJECT = Path(__file__).resolve().parents[1]
DEMO = PROJECT / "tasks" / "demo" / "sentiment"
WORDS = ("terrible", "great")
TEMPLATE = "{0} It was {mask}."


def options(description: str | None, data: Path) -> argparse.ArgumentParser:
    """Return a parser with what every model benchmark takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", help="embedded name or folder of a masked language model (default: embedded)"
    )
    parser.add_argument(
        "--data", type=Path, default=data, help='JSONL of {"text", "label"}, labels 0 and 1'
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="measured rounds of each side (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="torch and tokenizer threads (default: %(default)s)"
    )
    return parser


def set_threads(threads: int) -> None:
    """Give torch and the tokenizer the same number of threads. Call before either works."""
    import torch

    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    torch.set_num_threads(threads)


class Seconds(NamedTuple):
    """Seconds of the clock, and of the processor in all threads and child processes.

    On a busy machine the latter vary less.
    """

    wall: float
    cpu: float

    @classmethod
    def of(cls, work: Callable[[], object]) -> Seconds:
        """Return what some work takes."""
        wall, cpu = time.perf_counter(), _cpu()
        work()
        return cls(time.perf_counter() - wall, _cpu() - cpu)


def _cpu() -> float:
    """Return the processor's seconds so far, ours and those of child processes that ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


SUBREAPER = 36
"""Linux: orphans become this process's children, so that their time counts here."""


@cache
def adopt_orphans() -> None:
    """Count the time of what a command starts and leaves behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def process(
    command: Sequence[str | Path], folder: Path | None = None, **environment: str
) -> Callable[[], Seconds]:
    """Return what runs a command, its output thrown away, and says how long it took.

    By the clock that is until the command ends. The processor's time is that of all it started,
    too: the server that answers the methods' own checks outlives it by a moment.

    Args:
        command: a program and its arguments.
        folder: where it runs.
        environment: variables besides those of this process.

    Raises:
        SystemExit: the command failed; its time would say nothing.
    """
    line = [*map(str, command)]

    def run() -> Seconds:
        adopt_orphans()
        wall, cpu = time.perf_counter(), _cpu()
        done = subprocess.run(
            line,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=folder,
            env=os.environ | environment,
        )
        wall = time.perf_counter() - wall
        if done.returncode:
            raise SystemExit(f"error: {' '.join(line)} ended with {done.returncode}\n{done.stderr}")
        while True:  # orphans of the command
            try:
                os.wait()
            except ChildProcessError:
                return Seconds(wall, _cpu() - cpu)

    return run


def interleave(sides: Mapping[str, Callable[[], Seconds]], rounds: int) -> dict[str, Seconds]:
    """Run every side once unmeasured, then all in turn; print seconds, medians and ratios to the
    first.

    A side returns the seconds of its measured part. Every other round goes backwards, so that none
    always comes first.

    Args:
        sides: ours first, then the baselines.
        rounds: measured rounds of each.

    Returns:
        The medians of each side.
    """
    width = max(map(len, sides))
    taken: dict[str, list[Seconds]] = {name: [] for name in sides}
    first = {name: side() for name, side in sides.items()}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            taken[name].append(sides[name]())
    medians = {
        name: Seconds(*(statistics.median(column) for column in zip(*rows, strict=True)))
        for name, rows in taken.items()
    }
    ours = next(iter(medians.values()))
    for name, median in medians.items():
        rows = " ".join(f"{one.wall:.2f}" for one in taken[name])
        print(
            f"{name:{width}}  median {median.wall:7.3f} s (x{median.wall / ours.wall:.2f})  "
            f"cpu {median.cpu:7.3f} s (x{median.cpu / ours.cpu:.2f})  rounds {rows}"
        )
    print(
        "first round, not counted: "
        + ", ".join(f"{name} {one.wall:.2f} s" for name, one in first.items())
    )
    return medians


def model_ref(name: str | None) -> ModelRef:
    """Return the model asked for, or the first embedded one."""
    names = [name] if name else list(embedded_models())
    if not names:
        raise SystemExit("error: no embedded model here; give --model FOLDER")
    try:
        return find_model(names[0], offline=True)
    except BenchError as error:
        raise SystemExit(f"error: {error}") from error


def trial_protocol(updates: int, k: int) -> Protocol:
    """Return the protocol of one trial: linear from its peak to 0, no warm-up, no decay, dev read
    once, at the end.
    """
    return Protocol(
        name="benchmark",
        title="",
        paper="none",
        k=k,
        seeds=(0,),
        grid={},
        max_steps=updates,
        eval_every=updates,
        schedule="linear",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        eval_batch_size=64,
        checkpoint_tie="first",
        trial_tie="first",
        ddof=0,
    )


def sentiment_task() -> Task:
    """Return a two-class task with LM-BFF's manual sentiment prompt."""
    source = Source("file", "", "", "", "", ("text",), "label", hub=False)
    return Task(
        name="benchmark",
        title="Sentiment",
        format="single",
        labels=WORDS,
        metric="accuracy",
        template=TEMPLATE,
        words=tuple((word,) for word in WORDS),
        sources=(source,),
        paper="none",
        licence="none",
    )


def read_examples(file: Path) -> list[Example]:
    """Return the rows of a JSONL file with a text and a label of 0 or 1 (or the demo's two label
    names).
    """
    if not file.is_file():
        raise SystemExit(f"error: no file at {file}; give --data FILE.jsonl")
    rows = [json.loads(line) for line in file.read_text("utf-8").split("\n") if line.strip()]
    numbers = {0: 0, 1: 1, "0": 0, "1": 1, "negative": 0, "positive": 1}
    return [
        Example(f"row-{i}", (row["text"],), numbers[row["label"]]) for i, row in enumerate(rows)
    ]


def filled(task: Task, example: Example, mask: str) -> str:
    """Return an example in its template as one text, for a baseline that tokenises whole texts."""
    return task.template.replace("{0}", example.texts[0]).replace("{mask}", mask)
