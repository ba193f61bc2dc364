"""The deployed forms of a kept model: what they take on disk, milliseconds a text, accuracy, and
answers that are those of the kept model.

All forms are asked in one process, in turn, on token ids made before the clock starts: the model
itself and what `ptq` makes of it, the folder that transformers loads, ONNX in fp32, ONNX in int8 as `bench export model`
writes it (each token's activations have a scale of their own, as `ptq` promises), and ONNX in int8
by ONNX Runtime's own `quantize_dynamic` (one scale for all activations of a batch). Without
`--run`, `ft` of the embedded student is trained on demo-sentiment first. Needs `fewbench[onnx]`.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from measure import Seconds, interleave, set_threads
from numpy.typing import NDArray

import fewbench
from fewbench.export.onnx_graph import inputs_of, write_onnx
from fewbench.export.program import DeployedForm
from fewbench.export.write import write_model
from fewbench.measure.stored import Locations, model_of, task_of, test_rows
from fewbench.nn.batch import Encoded
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.quantize import quantize
from fewbench.nn.serialize import duplicate, pack
from fewbench.store.selector import find_run
from fewbench.store.store import Store
from fewbench.types import Example

Answers = NDArray[np.float32]
Feed = Mapping[str, NDArray[np.int64]]
MIB = 2**20
KEPT, PTQ = "kept, torch", "ptq, torch"


class Side(NamedTuple):
    """A form of the model: its bytes on disk, and its scores [B, C] of a batch of rows."""

    size: int
    scores: Callable[[Sequence[int]], Answers]


def main() -> None:
    arguments = parse()
    set_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        results = arguments.results or train(Path(folder) / "results")
        model, examples = read_kept(results, arguments)
        encoded = model.encode([example.without_label() for example in examples])
        sides = make_sides(model, encoded, Path(folder), arguments.threads)
        report_answers(sides, encoded, examples)
        chosen = [n * len(encoded) // arguments.texts for n in range(arguments.texts)]
        for size in (1, 32):
            print(f"\n{arguments.texts} texts in batches of {size}, {arguments.threads} threads")
            medians = interleave(
                {name: timed(side, chosen, size) for name, side in sides.items()}, arguments.rounds
            )
            each = {name: 1e3 * one.wall / arguments.texts for name, one in medians.items()}
            print("ms a text: " + ", ".join(f"{name} {ms:.2f}" for name, ms in each.items()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, help="folder of stored runs (default: a new one)")
    parser.add_argument("--run", default="ft", help="a stored run with its model (default: ft)")
    parser.add_argument("--model", action="append", default=[], help="folder of its backbone")
    parser.add_argument("--data", type=Path, help="folder of data files")
    parser.add_argument("--texts", type=int, default=128, help="timed (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    return parser.parse_args()


def train(results: Path) -> Path:
    fewbench.run(
        "ft", "demo-sentiment", seeds=13, results=results, keep_models=True, protocol="quick"
    )
    return results


def read_kept(
    results: Path, arguments: argparse.Namespace
) -> tuple[HeadModel, tuple[Example, ...]]:
    store = Store(results)
    record = find_run(store, arguments.run)
    places = Locations(store, arguments.data, arguments.model, offline=True)
    task = task_of(record, places)
    model = model_of(record, task, Models(torch.device("cpu")), places)
    if not isinstance(model, HeadModel) or task.is_regression:
        raise SystemExit("error: only classifiers with a head are compared here")
    print(f"{record.run.method} on {task.full_name}, {model.backbone.ref.name}")
    return model, test_rows(record, task, places)


def make_sides(
    model: HeadModel, encoded: Sequence[Encoded], folder: Path, threads: int
) -> dict[str, Side]:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from transformers import AutoModelForSequenceClassification

    logging.disable(logging.WARNING)
    write_model(model, DeployedForm(), "", folder / "plain")
    full, ours, theirs = (folder / f"{name}.onnx" for name in ("fp32", "int8", "dynamic"))
    write_onnx(model, full)
    write_onnx(model, ours, int8=True)
    quant_pre_process(full, folder / "folded.onnx", skip_symbolic_shape=True)
    quantize_dynamic(
        folder / "folded.onnx",
        theirs,
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul"],
    )
    weights = (folder / "plain" / "model.safetensors").stat().st_size
    plain = AutoModelForSequenceClassification.from_pretrained(folder / "plain")
    names = inputs_of(model)

    rounded = duplicate(model).eval()
    quantize(rounded.backbone)

    def in_torch(ours: HeadModel) -> Callable[[Sequence[int]], Answers]:
        @torch.no_grad()
        def scores(rows: Sequence[int]) -> Answers:
            return ours(ours.collate([encoded[row] for row in rows])).numpy()

        return scores

    @torch.no_grad()
    def transformers(rows: Sequence[int]) -> Answers:
        feed = feed_of([encoded[row] for row in rows], names)
        return plain(**{name: torch.from_numpy(ids) for name, ids in feed.items()}).logits.numpy()

    sides = {
        KEPT: Side(weights, in_torch(model)),
        "transformers": Side(weights, transformers),
        PTQ: Side(len(pack(rounded, {})[1]), in_torch(rounded)),
    }
    for name, file in (("ONNX fp32", full), ("ONNX int8", ours), ("quantize_dynamic", theirs)):
        sides[name] = Side(file.stat().st_size, in_onnx(file, encoded, names, threads))
    return sides


def in_onnx(
    file: Path, encoded: Sequence[Encoded], names: Sequence[str], threads: int
) -> Callable[[Sequence[int]], Answers]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def scores(rows: Sequence[int]) -> Answers:
        return session.run(None, dict(feed_of([encoded[row] for row in rows], names)))[0]

    return scores


def feed_of(batch: Sequence[Encoded], names: Sequence[str]) -> Feed:
    """Return the padded inputs of a batch of single sequences, by name."""
    sequences = [example.sequences[0] for example in batch]
    ids, real, segments = np.zeros(
        (3, len(batch), max(len(one.ids) for one in sequences)), dtype=np.int64
    )
    for row, one in enumerate(sequences):
        length = len(one.ids)
        ids[row, :length], real[row, :length], segments[row, :length] = one.ids, 1, one.segments
    feed = {"input_ids": ids, "attention_mask": real, "token_type_ids": segments}
    return {name: feed[name] for name in names}


def timed(side: Side, rows: Sequence[int], size: int) -> Callable[[], Seconds]:
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    return lambda: Seconds.of(lambda: [side.scores(batch) for batch in batches])


def report_answers(
    sides: Mapping[str, Side], encoded: Sequence[Encoded], examples: Sequence[Example]
) -> None:
    """Print what each form takes on disk and how it answers, all test rows in batches of 32."""
    gold = np.array([example.label for example in examples])
    order = sorted(range(len(encoded)), key=lambda row: encoded[row].length)
    batches = [order[start : start + 32] for start in range(0, len(order), 32)]
    answers = {name: answer_all(side, batches, len(encoded)) for name, side in sides.items()}
    print(f"{len(gold)} test rows; answers that are those of {KEPT}, and of {PTQ}")
    print(f"{'':18} {'MiB':>7} {'accuracy':>9} {'as kept':>8} {'largest':>8} {'as ptq':>8}")
    for name, found in answers.items():
        labels = found.argmax(1)
        as_kept, as_ptq = (int((labels == answers[one].argmax(1)).sum()) for one in (KEPT, PTQ))
        print(
            f"{name:18} {sides[name].size / MIB:7.1f} {100 * (labels == gold).mean():9.2f} "
            f"{as_kept:8d} {np.abs(found - answers[KEPT]).max():8.1e} {as_ptq:8d}"
        )


def answer_all(side: Side, batches: Sequence[Sequence[int]], count: int) -> Answers:
    """Return the probabilities of all rows, [n, C]."""
    parts = [torch.from_numpy(side.scores(batch)).softmax(-1).numpy() for batch in batches]
    found = np.empty((count, parts[0].shape[1]), np.float32)
    for batch, part in zip(batches, parts, strict=True):
        found[batch] = part
    return found


if __name__ == "__main__":
    main()
