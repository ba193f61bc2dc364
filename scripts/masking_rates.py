"""Measure how often words are masked by random masking, PMI-Masking and InforMask: thesis Figures 7.5 and 7.7.

    python scripts/masking_rates.py --corpus DATA/corpora/wikipedia-en --tokenizer MODEL --work FOLDER

Writes results/pretraining/rates/report.json, which `bench plot masking-rates` draws. The common words are those of the
corpus that are among Figure 7.5's kind (stop words); the others are the text's examples (Airways, Colorado, Nairobi) and
more of both kinds: parts of names of several words, and names of one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.nn.load import load
from fewbench.pretrain.masking import build
from fewbench.pretrain.packing import pack
from fewbench.pretrain.run import vocabulary_of
from fewbench.pretrain.word_rates import known_words, overall_rates, word_rates
from fewbench.registry.pretrained import find_model

STRATEGIES = ("random", "pmi", "informask")
LEAST = 10
"""Occurrences below which a word's rate says nothing."""
COMMON = "the of and in to a is was for on as by with he that at from it his an were are which be this".split()
PARTS = "airways kong angeles states kingdom".split()
ALONE = "colorado nairobi london shakespeare einstein".split()


def main() -> None:
    """Count, and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument(
        "--tokenizer", default="fewbench-micro", help="a model: words must be single tokens of its"
    )
    parser.add_argument("--work", type=Path, required=True, help="packed text")
    parser.add_argument("--out", type=Path, default=Path("results/pretraining/rates/report.json"))
    parser.add_argument(
        "--rows", type=int, default=100_000, help="sequences that PMI is counted on, at most"
    )
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--sequences", type=int, default=400, help="masked for each word, at most")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        report = measure(args)
    except BenchError as error:
        sys.exit(f"error: {error}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(args.out, (json.dumps(report, indent=1) + "\n").encode())


def measure(args: argparse.Namespace) -> dict[str, object]:
    """Return the report: what was counted on, and each word with its rates."""
    model = find_model(args.tokenizer)
    tokenizer = load(model).tokenizer
    corpus = np.asarray(pack(args.corpus, tokenizer, args.length, args.work).train[: args.rows])
    vocabulary = vocabulary_of(tokenizer)
    strategies = {name: build(name, corpus, vocabulary, seed=args.seed) for name in STRATEGIES}
    groups = {"common": COMMON, "part of a name": PARTS, "name": ALONE}
    kind = {word: group for group, words in groups.items() for word in words}
    known = known_words(list(kind), tokenizer.get_vocab(), corpus, least=LEAST)
    for word in sorted(set(kind) - set(known)):
        print(
            f"left out: '{word}' is no single token or stands here less than {LEAST} times",
            file=sys.stderr,
        )
    asked = dict(sequences=args.sequences, draws=args.draws, seed=args.seed)
    rates = word_rates(corpus, known, strategies, **asked)
    overall = overall_rates(corpus, vocabulary.special, strategies, rows=2000, seed=args.seed)
    return {
        "corpus": Path(args.corpus).name,
        "tokens": int(corpus.size),
        "length": args.length,
        "tokenizer": f"{model.name} {model.revision}",
        **asked,
        "overall": {name: round(rate, 4) for name, rate in overall.items()},
        "words": [
            {
                "word": found.word,
                "kind": kind[found.word],
                "share": round(found.share, 8),
                "seen": found.seen,
                "rates": {name: round(rate, 4) for name, rate in found.rates.items()},
            }
            for found in rates
        ],
    }


if __name__ == "__main__":
    main()
