"""The memory that a prompt-ft run takes, beside what `fewbench.runner.footprint` reckons.

Each run is a process of its own on the CPU: a few updates on inputs as long as the task's may be.
Measured is the most memory resident during the run, less what was resident before it, with the
libraries and the pretrained model read (the run trains a copy of it). What CUDA holds by itself
(`CONTEXT`) is on neither side. The estimate is for the most that a run may take: where words that
do not occur are not trained, which depends on a protocol's weight decay, their embeddings have no
gradient and no moments, and it is above the measurement.

Models of random weights stand for those that are not here: `--shape LAYERS WIDTH WORDS`, with the
embedded models' tokenizer.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from measure import model_ref, set_threads

MIB = 2**20
UPDATES = 3
STATUS = Path("/proc/self/status")
DECAYS = (0.0, 0.01)


class Footprint(NamedTuple):
    """The bytes of a run: reckoned, and measured."""

    reckoned: int
    measured: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", default=[], help="embedded name or folder")
    parser.add_argument(
        "--shape",
        nargs=3,
        type=int,
        action="append",
        default=[],
        metavar=("LAYERS", "WIDTH", "WORDS"),
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[8])
    parser.add_argument("--length", type=int, default=128, help="tokens (default: %(default)s)")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        folder, batch, length, decay = arguments.one
        print(json.dumps(run(Path(folder), int(batch), int(length), float(decay))))
        return
    if not STATUS.exists():
        raise SystemExit("error: peaks are read from /proc, which this system has not")
    shapes = arguments.shape or [(6, 512, 8000)]
    with tempfile.TemporaryDirectory() as name:
        folders = {model: model_ref(model).path for model in arguments.model or ["fewbench-micro"]}
        folders |= {
            f"{layers} layers of {width}": made(
                Path(name) / f"{layers}-{width}", layers, width, words
            )
            for layers, width, words in shapes
        }
        print(f"prompt-ft, {arguments.length} tokens; MiB")
        for model, folder in folders.items():
            for batch in arguments.batches:
                for decay in DECAYS:
                    told = asked([folder, batch, arguments.length, decay])
                    print(
                        f"{model:24} batch {batch:3}, decay {decay:4}  "
                        f"reckoned {told.reckoned / MIB:7.0f}  measured {told.measured / MIB:7.0f}  "
                        f"x{told.reckoned / told.measured:.2f}",
                        flush=True,
                    )


def asked(values: Sequence[object]) -> Footprint:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--one", *map(str, values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return Footprint(*json.loads(done.stdout.splitlines()[-1]))


def run(folder: Path, batch: int, length: int, decay: float) -> Footprint:
    """Carry out a run in this process."""
    import torch

    from fewbench.nn.fit_context import Models
    from fewbench.registry.methods import methods
    from fewbench.runner.footprint import CONTEXT, gpu_bytes
    from fewbench.runner.run import carry_out
    from fewbench.runner.toys import toy_job, toy_protocol, toy_task

    set_threads(1)
    protocol = toy_protocol(max_steps=UPDATES, eval_every=UPDATES, weight_decay=decay)
    job = toy_job(
        methods()["prompt-ft"],
        folder,
        toy_task("single", max_length=length),
        settings={"batch_size": batch},
        protocol=protocol,
        k=4,
    )
    long = "the film was dull " * length
    rows = islice(cycle(job.split.train), 2 * batch)
    train = tuple(replace(row, id=f"{n}", texts=(long,)) for n, row in enumerate(rows))
    job = replace(job, split=replace(job.split, train=train), trials=job.trials[:1])
    models = Models(torch.device("cpu"))
    models.pretrained(job.run.student)
    torch.nn.functional.cross_entropy(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is what there is now
    before = resident("VmRSS")
    record, _ = carry_out(job, models, threads=1)
    if record.error:
        raise SystemExit(record.error)
    return Footprint(gpu_bytes(job) - CONTEXT, resident("VmHWM") - before)


def resident(name: str) -> int:
    """Return a number of bytes of this process's memory, now (`VmRSS`) or at most (`VmHWM`)."""
    (line,) = (line for line in STATUS.read_text("ascii").splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def made(folder: Path, layers: int, width: int, words: int) -> str:
    """Save a BERT of random weights with the first embedded model's tokenizer."""
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    tokenizer = AutoTokenizer.from_pretrained(model_ref(None).path)
    config = BertConfig(
        vocab_size=max(words, len(tokenizer)),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    main()
