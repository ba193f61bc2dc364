"""What makes a model faster on this processor: int8, heads removed, half the layers, early exits;
one table.

Every side answers the same sequences of token ids, one by one and in batches of 32, in one process
and in turn, batch by batch. The baseline is plain fine-tuning's model in fp32, all layers. Weights
are random (time does not depend on them), classifiers of the exits too, so that patience spreads
the exits over the layers.

`aim` is what was asked of each: for int8 at batch 1 twice the speed, for others the share of what
they save in work (layers or products) that is saved in time: `kept` = (1 - seconds / full seconds)
/ (1 - work / full work).

Last comes the bound: the linear layers' matrix products alone, in fp32 and by the int8 kernel
without rounding its inputs. No int8 model can gain more than they do, and the rest of a model
(attention, norms, activations) gains nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Mapping, Sequence

import torch
from int8 import make_model
from measure import Seconds, set_threads

from fewbench.nn.batch import Batch, Encoded, Tokens, collate
from fewbench.nn.classifier import HeadModel
from fewbench.nn.encoder import run_layer
from fewbench.nn.exit_rules import Depth, Patience, Rule
from fewbench.nn.exits import ExitModel, head_exits
from fewbench.nn.int8 import INPUT_STEPS, _packed
from fewbench.nn.prune import prune_heads, truncate
from fewbench.nn.quantize import quantize
from fewbench.nn.serialize import duplicate

Work = Callable[[Batch], object]
AIM_INT8 = 2.0
AIM_KEPT = 0.9


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
        "--sequences", type=int, default=32, help="of each round (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="measured rounds (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="torch's threads (default: %(default)s)"
    )
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    print(
        f"{arguments.threads} threads, load {os.getloadavg()[0]:.1f}, {arguments.sequences} x {arguments.length} tokens"
    )
    for hidden in arguments.hidden:
        compare(hidden, arguments)
    print(f"load {os.getloadavg()[0]:.1f}")


@torch.no_grad()
def compare(hidden: int, arguments: argparse.Namespace) -> None:
    full = make_model(hidden, arguments.layers)
    sequences = torch.randint(5, 1000, (arguments.sequences, arguments.length)).tolist()
    encoded = [Encoded((Tokens(tuple(row), (0,) * arguments.length),), None) for row in sequences]
    sides, saved = variants(full, encoded)
    for size in (1, arguments.sequences):
        batches = [
            collate(encoded[at : at + size], torch.device("cpu"))
            for at in range(0, len(encoded), size)
        ]
        taken = in_turn(sides, batches, arguments.rounds)
        print(f"\nhidden {hidden}, {arguments.layers} layers, batch {size}")
        print(f"{'':30} ms (processor)   speed-up (quartiles)   work saved   kept   aim")
        for name in sides:
            print(row(name, taken, saved.get(name, 0.0), len(encoded), size))
        if size == 1:
            print(bound(full, arguments))


def variants(
    full: HeadModel, encoded: Sequence[Encoded]
) -> tuple[dict[str, Work], dict[str, float]]:
    """Return what each side does with a batch, the baseline first, and the share of the work each
    one saves.
    """
    layers, heads = len(full.backbone.layers), full.backbone.layers[0].heads
    int8, half, pruned = (duplicate(full).eval() for _ in range(3))
    quantize(int8.backbone)
    truncate(half.backbone, range(0, layers, 2))
    prune_heads(pruned.backbone, {number: range(heads // 2) for number in range(layers)})
    exits = head_exits(duplicate(full).backbone, full.task).eval()
    whole = collate(encoded, torch.device("cpu"))
    sides: dict[str, Work] = {
        "fp32, full depth": full,
        "int8": int8,
        "half the heads": pruned,
        "half the layers": half,
    }
    saved = {"half the layers": 0.5, "half the heads": attention_share(full, encoded[0].length) / 2}
    for rule in (Depth(layers // 2), Patience(1), Patience(2)):
        left_by = exit_by(exits, rule)(whole)[1]
        sides[f"exits, {rule}"] = exit_by(exits, rule)
        saved[f"exits, {rule}"] = 1 - float(left_by.double().mean()) / layers
    return sides, saved


def exit_by(model: ExitModel, rule: Rule) -> Callable[[Batch], tuple[torch.Tensor, torch.Tensor]]:
    def work(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        model.rule = rule
        return model.exit(batch)

    return work


def attention_share(model: HeadModel, tokens: int) -> float:
    """Return the share of a layer's products that are attention's: 4 T d^2 + 2 T^2 d of those and 2
    T d ff more.
    """
    width, inner = model.backbone.layers[0].up.in_features, model.backbone.layers[0].up.out_features
    attention = 4 * width + 2 * tokens
    return attention / (attention + 2 * inner)


def in_turn(
    sides: Mapping[str, Work], batches: Sequence[Batch], rounds: int
) -> dict[str, list[Seconds]]:
    """Return the seconds of each side in each round; at each batch all sides come one after
    another.
    """
    for work in sides.values():
        work(batches[0])
    taken = {name: [Seconds(0, 0)] * rounds for name in sides}
    for number in range(rounds):
        for count, batch in enumerate(batches):
            for name in list(sides)[:: -1 if (number + count) % 2 else 1]:
                work, before = sides[name], taken[name][number]
                one = Seconds.of(lambda work=work, batch=batch: work(batch))
                taken[name][number] = Seconds(before.wall + one.wall, before.cpu + one.cpu)
    return taken


def row(name: str, taken: Mapping[str, list[Seconds]], saved: float, count: int, size: int) -> str:
    """Return a side's line; ratios are within a round, by the processor's seconds."""
    first = next(iter(taken.values()))
    ratios = [full.cpu / one.cpu for full, one in zip(first, taken[name], strict=True)]
    low, speed, high = statistics.quantiles(ratios, n=4, method="inclusive")
    each = 1000 * statistics.median(one.cpu for one in taken[name]) / count
    kept = f"{(1 - 1 / speed) / saved:4.2f}" if saved else "   –"
    aim = (
        f"{AIM_INT8:.1f}x"
        if name == "int8" and size == 1
        else f"{AIM_KEPT:.1f}"
        if "exits" in name
        else ""
    )
    return f"{name:30} {each:8.2f}         {speed:5.2f} ({low:.2f}–{high:.2f})        {saved:6.2f}       {kept}   {aim}"


def bound(full: HeadModel, arguments: argparse.Namespace) -> str:
    """Return what the products of one sequence take in fp32 and in int8, the least of many tries of
    each.
    """
    int8 = duplicate(full).eval()
    quantize(int8.backbone)
    product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
    widths = {full.backbone.layers[0].up.in_features, full.backbone.layers[0].down.in_features}
    inputs = {width: torch.randn(arguments.length, width).clamp(-1, 1) for width in widths}
    batch = collate(
        [Encoded((Tokens((7,) * arguments.length, (0,) * arguments.length),), None)],
        torch.device("cpu"),
    )
    least: dict[str, float] = {}
    for _ in range(4 * arguments.rounds):
        for wide, narrow in zip(full.backbone.layers, int8.backbone.layers, strict=True):
            names = ("query", "key", "value", "output", "up", "down")
            linears = [(getattr(wide, name), getattr(narrow, name)) for name in names]
            tries = {
                "fp32": lambda linears=linears: [
                    one(inputs[one.in_features]) for one, _ in linears
                ],
                "int8": lambda linears=linears: [
                    product(
                        inputs[one.in_features],
                        1 / INPUT_STEPS,
                        INPUT_STEPS + 1,
                        _packed([one]).weight,
                    )
                    for _, one in linears
                ],
                "layer": lambda wide=wide: run_layer(wide, inputs[min(widths)], batch, False),
            }
            for name, work in tries.items():
                least[name] = min(least.get(name, 1e9), Seconds.of(work).cpu)
    share = least["fp32"] / max(least["layer"], least["fp32"])
    gain = least["fp32"] / least["int8"]
    return (
        f"bound: products of a layer {1000 * least['fp32']:.2f} ms in fp32, {1000 * least['int8']:.2f} ms in int8: "
        f"{gain:.2f}x; they are {share:.0%} of an fp32 layer, so no more than {1 / (1 - share + share / gain):.2f}x"
    )


if __name__ == "__main__":
    main()
