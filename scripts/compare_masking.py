"""Pretrain one small model by each masking strategy on the same text, and compare loss and facts:
thesis Table 7.3(a).

    python scripts/compare_masking.py --corpus DATA/corpora/wikipedia-en --data DATA --out FOLDER
    --tokens 2000000

    python scripts/compare_masking.py --corpus SMALL --data DATA --out FOLDER2 --tokens 3000000
    --strategies token-rates,repeated --results results/pretraining/repetition

The second line is Figure 7.6, the same masks in every epoch beside token-specific rates, where
SMALL is read several times (`bench plot masking:of=repetition`). That of the stored reports is the
first 159 documents of wikipedia-en, a million tokens.

Same tokenizer, same rows in the same order, same first weights: only the masks differ. Every run's
curve (held-out loss under random masks, and the probe's mean reciprocal rank, macro average over
relations) is kept under --results, with a table of them all; `bench plot masking` draws them. What
is stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewbench.data.fact_files import read_facts
from fewbench.data.task_file import load_file
from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.pretrain.probing import FactMeasure
from fewbench.pretrain.recipe import read_recipe
from fewbench.pretrain.run import PretrainRequest, pretrain
from fewbench.pretrain.wordpiece import learn
from fewbench.types import ModelRef

STRATEGIES = ("random", "span", "pmi", "informask", "token-rates")
FACTS = Path(__file__).parents[1] / "tasks" / "lama.toml"
RECIPE = Path(__file__).parent / "masking" / "recipe.toml"
HEAD = """# Masking strategies compared

Written by `scripts/compare_masking.py`: one model by each strategy, as thesis {of} does it. `bench plot
masking{asked}` draws the curves. Mean ± population std over seeds of the last measurement.
"""
TABLE = {"of": "Table 7.3(a)", "asked": ""}
FIGURE = {"of": "Figure 7.6", "asked": ":of=repetition"}


def main() -> None:
    """Do the runs that are missing, then say what all of them found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds lama/")
    parser.add_argument("--out", type=Path, required=True, help="models and packed text")
    parser.add_argument("--results", type=Path, default=Path("results/pretraining/masking"))
    parser.add_argument("--tokens", type=int, default=2_000_000, help="a run")
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument(
        "--limit", type=int, default=100, help="facts a relation that the probe asks"
    )
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        compare(args)
    except BenchError as error:
        sys.exit(f"error: {error}")


def compare(args: argparse.Namespace) -> None:
    """Do the missing runs, one after another, and draw."""
    facts = read_facts(load_file(FACTS).facts["lama"], args.data).sample(args.limit)
    args.results.mkdir(parents=True, exist_ok=True)
    for seed in map(int, args.seeds.split(",")):
        for strategy in args.strategies.split(","):
            file = args.results / f"{strategy.replace(':', '_')}-s{seed}.json"
            if file.exists():
                continue
            recipe = read_recipe(RECIPE, {"masking": strategy, "seed": seed, "tokens": args.tokens})
            request = PretrainRequest(
                recipe,
                [args.corpus],
                args.out / file.stem,
                tokenizer=_tokenizer(args),
                cache=args.out / "packed",
                measure=FactMeasure(facts),
            )
            report = pretrain(
                request, lambda text, stem=file.stem: print(f"{stem}: {text}", file=sys.stderr)
            )
            file.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    reports = [json.loads(file.read_text("utf-8")) for file in sorted(args.results.glob("*.json"))]
    text = table(reports)
    print(text)
    repeats = any(report["recipe"]["masking"] == "repeated" for report in reports)
    head = HEAD.format(**(FIGURE if repeats else TABLE))
    write_whole(args.results / "README.md", f"{head}\n{text}\n".encode())


def _tokenizer(args: argparse.Namespace) -> ModelRef:
    """Learn the tokenizer of all runs once."""
    from fewbench.data.documents import training

    folder = args.out / "tokenizer"
    if not folder.exists():
        recipe = read_recipe(RECIPE, {})

        def texts() -> Iterator[str]:
            return (
                " ".join(document)
                for number, document in enumerate(training(args.corpus))
                if number % 4 == 0
            )

        learn(texts, recipe.vocabulary, recipe.words).save_pretrained(folder)
    return ModelRef("tokenizer", str(folder), "0")


def table(reports: list[dict[str, Any]]) -> str:
    """Return the last points as Markdown: mean and population std over seeds."""
    lines = [
        "| masking | held-out loss | LAMA MRR (macro, x100) | n | tokens | epochs |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in dict.fromkeys(report["recipe"]["masking"] for report in reports):
        of_it = [report for report in reports if report["recipe"]["masking"] == name]
        last = [report["curve"][-1] for report in of_it]
        epochs = last[0]["tokens"] / of_it[0]["corpus_tokens"]
        loss, mrr = ([point[key] for point in last] for key in ("held_out_loss", "mrr"))
        lines.append(
            f"| {name} | {np.mean(loss):.3f} ±{np.std(loss):.3f} | {100 * np.mean(mrr):.2f} ±{100 * np.std(mrr):.2f} "
            f"| {len(last)} | {last[0]['tokens'] / 1e6:.1f}M | {epochs:.1f} |"
        )
    point = reports[0]["curve"][-1]
    return "\n".join(
        [*lines, "", f"{point['facts']} facts asked, {point['left_out']} left out: no single token"]
    )


if __name__ == "__main__":
    main()
