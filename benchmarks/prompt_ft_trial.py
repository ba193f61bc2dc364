"""One prompt-ft trial, ours against the transformers Trainer: the same number of updates on the
same examples.

Ours is `fewbench.nn.trainer.train` on a PromptModel: packed batches, the vocabulary head at the
mask and for the label words alone, and AdamW on the embeddings in use. The baseline is `Trainer`
with inputs padded to 128 and the model's own masked-LM head over all positions; a second one pads
to the longest of each batch, which LM-BFF's code does not.

Both: float32, AdamW without decay, linear schedule, gradients clipped at 1, dropout on, no dev
evaluation, examples tokenised before the clock starts, a fresh copy of the pretrained model each
round (copied before the clock starts). The order of examples differs. Building the Trainer (once a
trial) is measured apart and printed.
"""

from __future__ import annotations

import copy
import importlib.util
import statistics
import tempfile
import time
from typing import Any

import torch
from measure import (
    DEMO,
    Seconds,
    filled,
    interleave,
    model_ref,
    options,
    read_examples,
    sentiment_task,
    set_threads,
    trial_protocol,
)
from torch import Tensor
from torch.nn import functional

from fewbench.nn.backbone import Backbone
from fewbench.nn.load import Pretrained, load
from fewbench.nn.prompt import PromptModel
from fewbench.nn.trainer import train
from fewbench.types import Example, ModelRef, Task

MAX_LENGTH = 128
PER_CLASS = 16


def main() -> None:
    parser = options(__doc__, DEMO / "train.jsonl")
    parser.add_argument(
        "--updates", type=int, default=100, help="optimizer updates a trial (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=8, help="examples an update (default: %(default)s)"
    )
    parser.add_argument(
        "--lr", type=float, default=1e-4, help="peak learning rate (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if importlib.util.find_spec("accelerate") is None:
        raise SystemExit("error: the transformers Trainer needs accelerate: pip install accelerate")
    set_threads(arguments.threads)

    task, ref = sentiment_task(), model_ref(arguments.model)
    rows = read_examples(arguments.data)
    chosen = [
        example
        for label in (0, 1)
        for example in [row for row in rows if row.label == label][:PER_CLASS]
    ]
    pretrained = load(ref)
    shape = (arguments.updates, arguments.batch_size, arguments.lr)
    longest, whole = (
        Baseline(pretrained, task, chosen, *shape),
        Baseline(pretrained, task, chosen, *shape, "max_length"),
    )
    print(
        f"{ref.name}: {arguments.updates} updates of {arguments.batch_size}, {len(chosen)} examples, "
        f"{arguments.threads} threads, torch {torch.__version__}"
    )
    sides = {
        "ours": lambda: ours(pretrained, ref, task, chosen, *shape),
        f"Trainer, padded to {MAX_LENGTH}": whole.trial,
        "Trainer, padded to longest": longest.trial,
    }
    interleave(sides, arguments.rounds)
    print(f"besides, building a Trainer: median {statistics.median(whole.building):.3f} s a trial")


def ours(
    pretrained: Pretrained,
    ref: ModelRef,
    task: Task,
    examples: list[Example],
    updates: int,
    batch_size: int,
    lr: float,
) -> Seconds:
    """Return the seconds of one trial by our loop."""
    model = PromptModel(Backbone(copy.deepcopy(pretrained.model), pretrained.tokenizer, ref), task)
    encoded = model.encode(examples)
    protocol = trial_protocol(updates, PER_CLASS)
    return Seconds.of(
        lambda: train(
            model,
            encoded,
            evaluate=lambda: 0.0,
            protocol=protocol,
            lr=lr,
            batch_size=batch_size,
            seed=0,
        )
    )


class Baseline:
    """The same trial by the transformers Trainer. `building` collects the seconds that making each
    Trainer took.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        task: Task,
        examples: list[Example],
        updates: int,
        batch_size: int,
        lr: float,
        padding: str = "longest",
    ) -> None:
        self.pretrained, self.padding = pretrained, padding
        self.updates, self.batch_size, self.lr = updates, batch_size, lr
        self.building: list[float] = []
        tokenizer = pretrained.tokenizer
        texts = [filled(task, example, tokenizer.mask_token) for example in examples]
        encodings = [tokenizer(text, truncation=True, max_length=MAX_LENGTH) for text in texts]
        self.rows = [
            dict(encoding) | {"labels": row.label}
            for encoding, row in zip(encodings, examples, strict=True)
        ]
        self.words = torch.tensor(
            [tokenizer(word[0], add_special_tokens=False)["input_ids"][0] for word in task.words]
        )

    def trial(self) -> Seconds:
        """Return the seconds of one `Trainer.train()`."""
        import transformers

        model, words, mask = (
            copy.deepcopy(self.pretrained.model),
            self.words,
            self.pretrained.tokenizer.mask_token_id,
        )

        collate = transformers.DataCollatorWithPadding(
            self.pretrained.tokenizer, self.padding, MAX_LENGTH
        )

        class PromptTrainer(transformers.Trainer):  # type: ignore[misc]
            def compute_loss(
                self, model: Any, inputs: dict[str, Tensor], *_: Any, **__: Any
            ) -> Tensor:
                labels = inputs.pop("labels")
                scores = model(**inputs).logits[inputs["input_ids"] == mask]
                return functional.cross_entropy(scores[:, words], labels)

        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            arguments = transformers.TrainingArguments(
                output_dir=folder,
                max_steps=self.updates,
                per_device_train_batch_size=self.batch_size,
                learning_rate=self.lr,
                use_cpu=True,
                report_to=[],
                logging_strategy="no",
                save_strategy="no",
                disable_tqdm=True,
                remove_unused_columns=False,
                dataloader_pin_memory=False,
            )
            trainer = PromptTrainer(
                model, arguments, data_collator=collate, train_dataset=self.rows
            )
            self.building.append(time.perf_counter() - start)
            trainer.remove_callback(transformers.PrinterCallback)
            return Seconds.of(trainer.train)


if __name__ == "__main__":
    main()
