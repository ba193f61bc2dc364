"""Counts prompt-ft updates a second on one GPU, ours against the transformers Trainer, with several
runs at once.

    python benchmarks/gpu_updates.py --runs 1,4,8

Every run is a process of its own with a model of roberta-base's shape (12 layers, 768 wide, 50,265
tokens) and random weights. Ours is `fewbench.nn.trainer.train` on a PromptModel; the peer is
`Trainer` with `bf16=True`, the head at all places and inputs padded to the longest of each batch.
Both see the same examples, in bfloat16, with AdamW and dropout. A figure is the updates of all runs
over the wall seconds of the slowest, after one trial that is not counted.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import DEMO, filled, model_ref, read_examples, sentiment_task, trial_protocol

SHAPE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
TOKENS = 50_265
PER_CLASS = 16
MAX_LENGTH = 128
PATIENCE = 600
"""Seconds to wait for the other runs: one that died would be waited for without end."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=DEMO / "train.jsonl", help='JSONL of {"text", "label"}'
    )
    parser.add_argument(
        "--runs", default="1,4,8", help="runs at once, by commas (default: %(default)s)"
    )
    parser.add_argument(
        "--updates", type=int, default=100, help="updates a trial (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=8, help="examples an update (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="counted trials of each (default: %(default)s)"
    )
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for runs in map(int, given.runs.split(",")):
        rates: dict[str, list[float]] = {"ours": [], "Trainer": []}
        barrier, answers = context.Barrier(runs, timeout=PATIENCE), context.Queue()
        workers = [
            context.Process(target=work, args=(given, barrier, answers, list(rates)))
            for _ in range(runs)
        ]
        for worker in workers:
            worker.start()
        told = [answers.get(timeout=PATIENCE) for _ in workers]
        for worker in workers:
            worker.join()
        for name, found in rates.items():
            for number in range(given.rounds):
                found.append(runs * given.updates / max(seconds[name][number] for seconds in told))
        ours, peer = (statistics.median(found) for found in rates.values())
        shown = "; ".join(
            f"{name} {' '.join(f'{rate:.1f}' for rate in found)}" for name, found in rates.items()
        )
        print(
            f"{runs} at once: ours {ours:.1f} updates/s, Trainer {peer:.1f}, ratio {ours / peer:.2f} ({shown})"
        )


def work(given: Any, barrier: Any, answers: Any, names: Any) -> None:
    """Measure both sides in this process, in step with the other processes."""
    sides = dict(zip(names, make_sides(given), strict=True))
    seconds: dict[str, list[float]] = {}
    for name, trial in sides.items():
        trial()
        seconds[name] = []
        for _ in range(given.rounds):
            barrier.wait()
            seconds[name].append(trial())
    answers.put(seconds)


def make_sides(given: Any) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return what measures one trial of ours and of the peer's, in seconds."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    from fewbench.nn.backbone import Backbone
    from fewbench.nn.load import load
    from fewbench.runner.products import computing
    from fewbench.types import Arithmetic

    torch.manual_seed(0)
    torch.set_num_threads(1)
    ref, task = model_ref(None), sentiment_task()
    tokenizer = load(ref).tokenizer
    model = BertForMaskedLM(
        BertConfig(vocab_size=TOKENS, pad_token_id=tokenizer.pad_token_id, **SHAPE)
    )
    rows = read_examples(given.data)
    examples = [
        row for label in (0, 1) for row in [row for row in rows if row.label == label][:PER_CLASS]
    ]

    wait = torch.cuda.synchronize if given.device.startswith("cuda") else lambda: None

    def synchronized(run: Callable[[], Any]) -> float:
        wait()
        start = time.perf_counter()
        run()
        wait()
        return time.perf_counter() - start

    def ours() -> float:
        from fewbench.nn.prompt import PromptModel
        from fewbench.nn.trainer import train

        copied = PromptModel(Backbone(copy.deepcopy(model).to(given.device), tokenizer, ref), task)
        encoded = copied.encode(examples)
        settings = {
            "protocol": trial_protocol(given.updates, PER_CLASS),
            "lr": 1e-5,
            "batch_size": given.batch_size,
            "seed": 0,
        }
        with computing(Arithmetic("bfloat16")):
            return synchronized(lambda: train(copied, encoded, evaluate=lambda: 0.0, **settings))

    return ours, lambda: synchronized(trainer(given, model, tokenizer, task, examples).train)


def trainer(given: Any, model: Any, tokenizer: Any, task: Any, examples: Any) -> Any:
    """Return the transformers Trainer of prompt-ft on a fresh copy of a model."""
    import torch
    import transformers

    texts = [filled(task, example, tokenizer.mask_token) for example in examples]
    encodings = [tokenizer(text, truncation=True, max_length=MAX_LENGTH) for text in texts]
    rows = [
        dict(encoding) | {"labels": row.label}
        for encoding, row in zip(encodings, examples, strict=True)
    ]
    words = torch.tensor(
        [tokenizer(word[0], add_special_tokens=False)["input_ids"][0] for word in task.words]
    )
    words, mask = words.to(given.device), tokenizer.mask_token_id

    class PromptTrainer(transformers.Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
            labels = inputs.pop("labels")
            scores = model(**inputs).logits[inputs["input_ids"] == mask]
            return torch.nn.functional.cross_entropy(scores[:, words], labels)

    arguments = transformers.TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        max_steps=given.updates,
        per_device_train_batch_size=given.batch_size,
        learning_rate=1e-5,
        bf16=True,
        use_cpu=given.device == "cpu",
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    collate = transformers.DataCollatorWithPadding(tokenizer, "longest")
    made = PromptTrainer(copy.deepcopy(model), arguments, data_collator=collate, train_dataset=rows)
    made.remove_callback(transformers.PrinterCallback)
    return made


if __name__ == "__main__":
    main()
