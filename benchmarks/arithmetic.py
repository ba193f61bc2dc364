"""Updates and scoring in bfloat16 (`--dtype bfloat16`), against the usual single precision.

All sides are one model of random weights on the same batches, by `fewbench.runner.products`, as a
run has it: an update is a forward and a backward pass with AdamW, scoring a forward pass alone. The
lengths are those of short sentences and of a pair. Making the model is outside the clock.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from int8 import make_batch, make_model
from measure import Seconds, interleave, set_threads
from torch.nn import functional

from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.runner.products import computing
from fewbench.types import Arithmetic

SIDES = {
    "bfloat16": Arithmetic("bfloat16"),
    "float32": Arithmetic(),
    "float32, eager attention": Arithmetic(attention="eager"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--hidden", type=int, nargs="+", default=[256, 768], help="widths (default: %(default)s)"
    )
    parser.add_argument("--layers", type=int, default=6, help="(default: %(default)s)")
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[24, 96], help="tokens (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    for hidden in arguments.hidden:
        model = make_model(hidden, arguments.layers)
        for length in arguments.lengths:
            batch = make_batch(8, length)
            for work in (update, score):
                print(f"{work.__name__}: hidden {hidden}, 8 sequences of {length} tokens")
                sides = {name: partial(work, model, batch, how) for name, how in SIDES.items()}
                interleave(sides, arguments.rounds)


def update(model: HeadModel, batch: Batch, how: Arithmetic) -> Seconds:
    """Return the seconds of four updates."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def work() -> None:
        for _ in range(4):
            optimizer.zero_grad()
            functional.cross_entropy(model(batch), torch.arange(8) % 2).backward()
            optimizer.step()

    with computing(how):
        return Seconds.of(work)


@torch.no_grad()
def score(model: HeadModel, batch: Batch, how: Arithmetic) -> Seconds:
    """Return the seconds of scoring a batch eight times."""
    with computing(how):
        return Seconds.of(lambda: [model(batch) for _ in range(8)])


if __name__ == "__main__":
    main()
