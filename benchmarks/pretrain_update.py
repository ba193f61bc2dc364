"""Updates of `bench pretrain` in bfloat16, which `auto` takes where the processor multiplies it,
and in float32.

A new six-layer model on rows of random tokens; the first weights are outside the clock, one
held-out row and the last checkpoint inside, on all sides alike.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measure import Seconds, interleave, set_threads
from transformers import BertConfig, BertForMaskedLM

from fewbench.pretrain.context import Context
from fewbench.pretrain.masking import Vocabulary, build
from fewbench.pretrain.objective import masked_words
from fewbench.pretrain.recipe import Recipe
from fewbench.pretrain.train import Precision, TrainingText, Watch, train

VOCABULARY, SPECIAL, SEPARATOR, MASK = 8192, 5, 3, 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=20, help="a round (default: %(default)s)")
    parser.add_argument(
        "--batch", type=int, default=32, help="rows an update (default: %(default)s)"
    )
    parser.add_argument(
        "--length", type=int, default=64, help="tokens a row (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="measured rounds of each side (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="torch threads (default: %(default)s)"
    )
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    tokens = arguments.updates * arguments.batch * arguments.length
    recipe = Recipe(
        tokens=tokens,
        batch=arguments.batch,
        length=arguments.length,
        lr=1e-4,
        masking="random:rate=0.3",
    )
    recipe = replace(recipe, evaluate_every=arguments.updates, checkpoint_every=arguments.updates)
    ids = np.arange(VOCABULARY)
    vocabulary = Vocabulary(ids < SPECIAL, np.zeros(VOCABULARY, bool))
    rows = (
        np.random.default_rng(0)
        .integers(SPECIAL, VOCABULARY, (1000, arguments.length))
        .astype(np.uint16)
    )
    print(f"`auto` is {Precision('auto', new_model()).name} here; {tokens:,} tokens a round")

    def side(precision: str, context: float = 0.0) -> Seconds:
        model = new_model()
        around = Context([rows], vocabulary, SEPARATOR) if context else None
        text = TrainingText([rows], rows[:1], vocabulary, MASK, around)
        chosen = replace(recipe, precision=precision, context=context)
        choose = build(recipe.masking, rows, vocabulary)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "checkpoint.safetensors"
            return Seconds.of(
                lambda: train(chosen, model, text, choose, masked_words, file, Watch())
            )

    sides = {
        "bfloat16": lambda: side("bfloat16"),
        "bfloat16, words around": lambda: side("bfloat16", 0.5),
        "float32": lambda: side("float32"),
    }
    interleave(sides, arguments.rounds)


def new_model() -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForMaskedLM(config)


if __name__ == "__main__":
    main()
