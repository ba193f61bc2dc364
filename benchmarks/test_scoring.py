"""Scoring test sentences: ours against the plain loop that LM-BFF's code runs. From raw texts,
tokenisation included.

Ours is `PromptModel.predict` with an empty cache of encodings. The baseline goes through the file
in order in batches of 16, each tokenised and padded to 128, with the model's masked-LM head over
all positions; a second one pads to the longest of each batch. The strongest peer tokenises all
texts at once, sorts them by length, and has the head at the mask alone. The largest difference
between their answers is printed at the end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
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
)
from numpy.typing import NDArray

from fewbench.nn.backbone import Backbone
from fewbench.nn.load import Pretrained, load
from fewbench.nn.prompt import PromptModel
from fewbench.types import Example, ModelRef, Task

MAX_LENGTH = 128
BATCH_SIZE = 16

Probabilities = NDArray[np.float32]


def main() -> None:
    parser = options(__doc__, DEMO / "test.jsonl")
    parser.add_argument(
        "--sentences", type=int, default=2000, help="how many (repeating the file if it is shorter)"
    )
    arguments = parser.parse_args()
    set_threads(arguments.threads)

    task, ref = sentiment_task(), model_ref(arguments.model)
    rows = read_examples(arguments.data)
    texts = [rows[i % len(rows)].texts for i in range(arguments.sentences)]
    # Each sentence has an id of its own, so that a repeated one is not found in the cache.
    examples = [Example(f"test-{i}", text) for i, text in enumerate(texts)]
    pretrained = load(ref)
    print(
        f"{ref.name}: {len(examples)} sentences, {arguments.threads} threads, torch {torch.__version__}"
    )

    answers: dict[str, Probabilities] = {}

    def timed(name: str, side: Callable[[], Probabilities]) -> Callable[[], Seconds]:
        return lambda: Seconds.of(lambda: answers.update({name: side()}))

    sides: dict[str, Callable[[], Probabilities]] = {
        "ours": lambda: ours(pretrained, ref, task, examples),
        f"plain loop, padded to {MAX_LENGTH}": lambda: plain(
            pretrained, task, examples, "max_length"
        ),
        "plain loop, padded to longest": lambda: plain(pretrained, task, examples, "longest"),
    }
    if hasattr(pretrained.model, "bert"):
        name = "sorted by length, head at the mask"
        sides[name] = lambda: sorted_loop(pretrained, task, examples)
    interleave({name: timed(name, side) for name, side in sides.items()}, arguments.rounds)
    first, *others = answers.values()
    difference = max(float(np.abs(first - other).max()) for other in others)
    lengths = [len(ids) for ids in encoded(pretrained, task, examples)]
    print(f"{np.mean(lengths):.1f} tokens on average")
    print(f"largest difference of a probability: {difference:.1e}")


def ours(
    pretrained: Pretrained, ref: ModelRef, task: Task, examples: list[Example]
) -> Probabilities:
    """Return the probabilities [n, 2] by our model; a new backbone has no encodings yet."""
    model = PromptModel(Backbone(pretrained.model, pretrained.tokenizer, ref), task)
    probabilities = model.predict(examples).probabilities
    assert probabilities is not None
    return probabilities


@torch.no_grad()
def plain(
    pretrained: Pretrained, task: Task, examples: list[Example], padding: str
) -> Probabilities:
    """Return the probabilities [n, 2] by the model's own forward pass, batch by batch in file
    order.
    """
    model, tokenizer = pretrained.model.eval(), pretrained.tokenizer
    words = [tokenizer(word[0], add_special_tokens=False)["input_ids"][0] for word in task.words]
    found = []
    for start in range(0, len(examples), BATCH_SIZE):
        texts = [
            filled(task, example, tokenizer.mask_token)
            for example in examples[start : start + BATCH_SIZE]
        ]
        batch = tokenizer(
            texts, padding=padding, truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
        )
        scores = model(**batch).logits[batch["input_ids"] == tokenizer.mask_token_id]
        found.append(scores[:, words].softmax(-1).numpy())
    return np.concatenate(found)


def encoded(pretrained: Pretrained, task: Task, examples: list[Example]) -> list[list[int]]:
    """Return the token ids of all prompts."""
    tokenizer = pretrained.tokenizer
    texts = [filled(task, example, tokenizer.mask_token) for example in examples]
    ids: list[list[int]] = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    return ids


@torch.no_grad()
def sorted_loop(pretrained: Pretrained, task: Task, examples: list[Example]) -> Probabilities:
    """Return the probabilities [n, 2] of a BERT, in batches of sentences of about one length."""
    model, tokenizer = pretrained.model.eval(), pretrained.tokenizer
    words = [tokenizer(word[0], add_special_tokens=False)["input_ids"][0] for word in task.words]
    ids = encoded(pretrained, task, examples)
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    found = np.empty((len(ids), len(words)), np.float32)
    for start in range(0, len(order), BATCH_SIZE):
        numbers = order[start : start + BATCH_SIZE]
        batch = tokenizer.pad({"input_ids": [ids[i] for i in numbers]}, return_tensors="pt")
        states = model.bert(**batch).last_hidden_state
        scores = model.cls(states[batch["input_ids"] == tokenizer.mask_token_id])
        found[numbers] = scores[:, words].softmax(-1).numpy()
    return found


if __name__ == "__main__":
    main()
