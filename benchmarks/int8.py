"""Int8 against PyTorch's own dynamic int8 and against fp32: fine-tuning's model on token ids made
before the clock starts, one by one and in batches of 32.

Both sides are one architecture with random weights (time does not depend on them), as wide and deep
as asked for. The int8 sides round activations as they go, which is part of their time: ours each
token by a scale of its own, `torch.ao` all of a batch by one, so that its answers depend on what
else is in a batch.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import torch
import torch.ao.quantization
from measure import Seconds, interleave, set_threads
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, Tokens, collate
from fewbench.nn.classifier import HeadModel
from fewbench.nn.quantize import quantize
from fewbench.nn.serialize import duplicate
from fewbench.testing import toy_task
from fewbench.types import ModelRef


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--hidden", type=int, nargs="+", default=[256, 768], help="widths (default: %(default)s)"
    )
    parser.add_argument("--layers", type=int, default=6, help="(default: %(default)s)")
    parser.add_argument(
        "--length", type=int, default=128, help="tokens a sequence (default: %(default)s)"
    )
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 32], help="sequences (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="measured rounds of each side (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="torch's threads (default: %(default)s)"
    )
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    for hidden in arguments.hidden:
        full = make_model(hidden, arguments.layers)
        small = duplicate(full).eval()
        quantize(small.backbone)
        theirs = dynamic_int8(full)
        for size in arguments.batches:
            batch = make_batch(size, arguments.length)
            print(
                f"\nhidden {hidden}, {arguments.layers} layers, {size} x {arguments.length} tokens"
            )
            sides = {"int8": small, "torch.ao's dynamic int8": theirs, "fp32": full}
            times = {name: timed(model, batch) for name, model in sides.items()}
            interleave(times, arguments.rounds)


def dynamic_int8(full: HeadModel) -> HeadModel:
    """Return a copy whose layers' linear modules are PyTorch's own in dynamic int8."""
    model = duplicate(full).eval()
    with warnings.catch_warnings():  # it is deprecated, and says so
        warnings.simplefilter("ignore")
        for name, linear in model.backbone.linears().items():
            whole = torch.ao.quantization.quantize_dynamic(nn.Sequential(linear), {nn.Linear})
            model.backbone.model.set_submodule(name, whole[0])
    return model


def timed(model: HeadModel, batch: Batch) -> Callable[[], Seconds]:
    @torch.no_grad()
    def side() -> Seconds:
        return Seconds.of(lambda: model(batch))

    return side


def make_model(hidden: int, layers: int) -> HeadModel:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=1000,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
    )
    ref = ModelRef("random", "random", "random")
    return HeadModel(Backbone(BertForMaskedLM(config), None, ref), toy_task("single")).eval()


def make_batch(size: int, length: int) -> Batch:
    ids = torch.randint(5, 1000, (size, length)).tolist()
    encoded = [Encoded((Tokens(tuple(row), (0,) * length),), None) for row in ids]
    return collate(encoded, torch.device("cpu"))


if __name__ == "__main__":
    main()
