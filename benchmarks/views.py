"""The two views of one model: packed (`fewbench.nn.encoder`) and general (`fewbench.nn.general`).

Both train the same prompt on the same batches by our loop, and score the same sentences. Loading and
copying the model are outside the clock; the sentences are tokenised before it.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from measure import (
    DEMO,
    Seconds,
    interleave,
    model_ref,
    options,
    read_examples,
    sentiment_task,
    set_threads,
    trial_protocol,
)

from fewbench.nn.backbone import Backbone
from fewbench.nn.general import GeneralBackbone
from fewbench.nn.load import load
from fewbench.nn.prompt import PromptModel
from fewbench.nn.trainer import train


def main() -> None:
    parser = options(__doc__, DEMO / "train.jsonl")
    parser.add_argument(
        "--updates", type=int, default=40, help="optimizer updates a trial (default: %(default)s)"
    )
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    task, ref = sentiment_task(), model_ref(arguments.model)
    rows, pretrained = read_examples(arguments.data), load(ref)
    lengths: list[int] = []

    def model(view: type[Backbone]) -> PromptModel:
        weights = copy.deepcopy(pretrained.model)
        return PromptModel(view(weights, pretrained.tokenizer, ref), task)

    def trial(view: type[Backbone]) -> Seconds:
        trained = model(view)
        encoded = trained.encode(rows[:32])
        lengths[:] = [example.length for example in trained.encode(rows)]
        protocol = trial_protocol(arguments.updates, 16)
        given = dict(evaluate=lambda: 0.0, protocol=protocol, lr=1e-4, batch_size=8, seed=0)
        return Seconds.of(lambda: train(trained, encoded, **given))  # type: ignore[arg-type]

    def scoring(view: type[Backbone]) -> Seconds:
        asked = model(view)
        asked.encode([row.without_label() for row in rows])
        return Seconds.of(lambda: asked.predict(rows))

    for name, work in (("prompt-ft", trial), ("scoring", scoring)):
        print(f"{ref.name}, {name}: {arguments.threads} threads, torch {torch.__version__}")
        sides = {"packed": Backbone, "general": GeneralBackbone}
        interleave({side: partial(work, view) for side, view in sides.items()}, arguments.rounds)
    print(f"{len(rows)} sentences of {sum(lengths) / len(lengths):.1f} tokens on average")


if __name__ == "__main__":
    main()
