"""What masking costs: PMI seconds and MiB a million tokens, and each strategy's time for 1,000
sequences of 128.

Documents are tokenised one after another, [CLS] before and [SEP] after each, and cut into full
sequences; tokenising is outside the clock. Seconds are the medians of the rounds, by the clock and
by the processor.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import PROJECT, Seconds
from tokenizers import Tokenizer

from fewbench.pretrain.masking import Choose, Ids, Vocabulary, build, strategies
from fewbench.pretrain.pmi import count_pairs, pmi

LENGTH, SEQUENCES = 128, 1000
MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpus", type=Path, required=True, help='JSONL of {"sentences": [...]}, plain or .gz'
    )
    tokenizer = PROJECT / "bench" / "registry" / "models" / "fewbench-micro"
    parser.add_argument(
        "--tokenizer", type=Path, default=tokenizer, help="model folder (default: fewbench-micro)"
    )
    parser.add_argument("--tokens", type=float, default=1e6, help="of the corpus (default: 1e6)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="measured rounds (default: %(default)s)"
    )
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer / "tokenizer.json"))
    vocabulary, corpus = (
        vocabulary_of(tokenizer),
        read_corpus(arguments.corpus, tokenizer, int(arguments.tokens)),
    )
    print(
        f"{corpus.size:,} tokens, {len(corpus):,} sequences of {LENGTH}, vocabulary of {vocabulary.size:,}\n"
    )
    cost_of_pmi(corpus, vocabulary, arguments.rounds)
    cost_of_strategies(corpus, vocabulary, arguments.rounds)


def cost_of_pmi(corpus: Ids, vocabulary: Vocabulary, rounds: int) -> None:
    counts = count_pairs(corpus, vocabulary.special)
    table = pmi(counts)
    tracemalloc.start()
    count_pairs(corpus, vocabulary.special)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    million = corpus.size / 1e6
    print(f"{'PMI, window 11':24}{'s / M tokens':>14}{'cpu':>8}{'MiB':>9}")
    for name, work, size in (
        ("count_pairs", lambda: count_pairs(corpus, vocabulary.special), held(counts)),
        ("pmi", lambda: pmi(counts), held(table)),
    ):
        wall, cpu = median(work, rounds)
        print(f"{name:24}{wall / million:14.2f}{cpu / million:8.2f}{size / MIB:9.0f}")
    dense = 4 * vocabulary.size**2
    print(
        f"{counts.nnz:,} pairs; {peak / MIB:.0f} MiB at the peak of counting; {dense / MIB:.0f} MiB as a dense table\n"
    )


def cost_of_strategies(corpus: Ids, vocabulary: Vocabulary, rounds: int) -> None:
    batch = np.asarray(corpus[:SEQUENCES])
    tokens = (~vocabulary.special[batch]).sum()
    print(f"{'strategy':24}{'build s':>14}{'cpu':>8}{'choose ms / 1,000':>19}{'cpu':>8}{'rate':>8}")
    for name in strategies():
        made: list[Choose] = []
        building = Seconds.of(
            lambda name=name, made=made: made.append(build(name, corpus, vocabulary))
        )
        choose, rng = made[0], np.random.default_rng(0)
        chosen = choose(batch, rng)
        wall, cpu = median(lambda choose=choose, rng=rng: choose(batch, rng), rounds)
        scale = 1e3 * SEQUENCES / len(batch)
        print(
            f"{name:24}{building.wall:14.2f}{building.cpu:8.2f}{wall * scale:19.1f}{cpu * scale:8.1f}"
            f"{chosen.sum() / tokens:8.4f}"
        )


def median(work: Callable[[], object], rounds: int) -> Seconds:
    """Return the median seconds of some rounds of work."""
    taken = [Seconds.of(work) for _ in range(rounds)]
    return Seconds(*(statistics.median(column) for column in zip(*taken, strict=True)))


def held(matrix: object) -> int:
    """Return the bytes a CSR matrix holds."""
    return sum(getattr(matrix, part).nbytes for part in ("data", "indices", "indptr"))


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """Return what masking must know of a WordPiece tokenizer."""
    size = tokenizer.get_vocab_size()
    special, continues = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
    for token, number in tokenizer.get_vocab().items():
        continues[number] = token.startswith("##")
    for number, added in tokenizer.get_added_tokens_decoder().items():
        special[number] = added.special
    return Vocabulary(special, continues)


def read_corpus(file: Path, tokenizer: Tokenizer, tokens: int) -> Ids:
    """Return about as many tokens of the first documents, in full sequences [N, LENGTH]."""
    ids: list[int] = []
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            ids += tokenizer.encode(" ".join(json.loads(line)["sentences"])).ids
            if len(ids) >= tokens:
                break
    kept = ids[: max(1, min(len(ids), tokens) // LENGTH) * LENGTH]
    return np.array(
        kept, dtype=np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
    ).reshape(-1, LENGTH)


if __name__ == "__main__":
    main()
