"""Train the embedded model from scratch: a WordPiece tokenizer and a tiny BERT, on the CPU, in about 20 minutes.

    python scripts/train_embedded.py --corpora DATA/corpora/imdb-unlabeled DATA/corpora/wikipedia-en \
        --out bench/models/fewbench-tiny --minutes 20

The corpora are folders of JSON lines, gzip or not: {"title", "sentences": [...]}, a document a line. Each folder gives
the same share of the training text. The last fiftieth of each file's documents is held out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LABEL_WORDS = [
    "great",
    "good",
    "okay",
    "bad",
    "terrible",
    "yes",
    "no",
    "maybe",
    "correct",
    "incorrect",
    "description",
    "entity",
    "expression",
    "human",
    "location",
    "number",
    "subjective",
    "objective",
    "positive",
    "negative",
    "entailment",
    "neutral",
    "contradiction",
    "true",
    "false",
]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LENGTH = 64
"""Tokens a training sequence: consecutive sentences of one document."""


def documents(folder: Path) -> Iterator[tuple[list[str], bool]]:
    """Yield each document's sentences, and whether it is held out."""
    files = sorted([*folder.glob("*.jsonl.gz"), *folder.glob("*.jsonl")])
    if not files:
        raise SystemExit2(f"no *.jsonl or *.jsonl.gz in {folder}")
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            rows = [json.loads(line)["sentences"] for line in lines]
        for number, sentences in enumerate(rows):
            yield sentences, number >= len(rows) * 49 // 50


class SystemExit2(SystemExit):
    """An error of the user's: one line, exit code 2."""

    def __init__(self, text: str) -> None:
        print(f"error: {text}", file=sys.stderr)
        super().__init__(2)


def train_tokenizer(folders: list[Path], size: int) -> Any:
    """Return a lower-casing WordPiece tokenizer of `size` tokens in which every label word and letter is one token."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def texts() -> Iterator[str]:
        for folder in folders:
            for number, (sentences, held_out) in enumerate(documents(folder)):
                if not held_out and number % 4 == 0:  # a quarter of the documents settles 8k pieces
                    yield " ".join(sentences)

    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.normalizer = normalizers.BertNormalizer(lowercase=True)
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    forced = [*LABEL_WORDS, *LETTERS]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size - len(forced), special_tokens=list(SPECIAL), limit_alphabet=300, show_progress=False
    )
    learner.train_from_iterator(texts(), trainer)
    learned = [piece for piece, _ in sorted(learner.get_vocab().items(), key=lambda item: item[1])]
    pieces = list(dict.fromkeys([*SPECIAL, *forced, *learned]))
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = learner.normalizer, learner.pre_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", pieces.index("[CLS]")), ("[SEP]", pieces.index("[SEP]"))],
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=256, model_input_names=inputs, **names)


def pack(folders: list[Path], tokenizer: Any) -> tuple[list[Tensor], Tensor]:
    """Return a matrix of packed training sequences [n, LENGTH] for each folder, and one of held-out text."""
    train: list[Tensor] = []
    held: list[list[int]] = []
    for folder in folders:
        rows: list[list[int]] = []
        for sentences, held_out in documents(folder):
            (held if held_out else rows).extend(_sequences(sentences, tokenizer))
        train.append(torch.tensor(rows, dtype=torch.int16))
    random.Random(0).shuffle(held)
    return train, torch.tensor(held[:4000], dtype=torch.int16)


def _sequences(sentences: list[str], tokenizer: Any) -> Iterator[list[int]]:
    room = LENGTH - 2
    inner: list[int] = []
    if not sentences:
        return
    for ids in tokenizer(sentences, add_special_tokens=False)["input_ids"]:
        if inner and len(inner) + len(ids) > room:
            yield _closed(inner, tokenizer)
            inner = []
        inner = (inner + ids)[:room]
    if len(inner) >= room // 4:
        yield _closed(inner, tokenizer)


def _closed(inner: list[int], tokenizer: Any) -> list[int]:
    ids = [tokenizer.cls_token_id, *inner, tokenizer.sep_token_id]
    return ids + [tokenizer.pad_token_id] * (LENGTH - len(ids))


def mask(ids: Tensor, tokenizer: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the ids with 15% of the words masked (80% [MASK], 10% random, 10% kept), and which were chosen."""
    draw = torch.rand(ids.shape, generator=generator)
    chosen = (draw < 0.15) & (ids >= len(SPECIAL))
    kind = torch.rand(ids.shape, generator=generator)
    masked = ids.clone()
    masked[chosen & (kind < 0.8)] = tokenizer.mask_token_id
    noise = torch.randint(len(SPECIAL), len(tokenizer), ids.shape, generator=generator)
    masked[chosen & (kind > 0.9)] = noise[chosen & (kind > 0.9)]
    return masked, chosen


def loss_and_hits(model: Any, ids: Tensor, tokenizer: Any, generator: torch.Generator) -> tuple[Tensor, float]:
    """Return the mean masked-word loss, and the share of masked words guessed right. The head sees no other place."""
    masked, chosen = mask(ids, tokenizer, generator)
    states = model.bert(input_ids=masked, attention_mask=(ids != tokenizer.pad_token_id).long()).last_hidden_state
    scores = model.cls(states[chosen])
    return F.cross_entropy(scores, ids[chosen]), (scores.argmax(-1) == ids[chosen]).float().mean().item()


@torch.no_grad()
def held_out(model: Any, rows: Tensor, tokenizer: Any) -> dict[str, float]:
    """Return loss and accuracy on held-out text, always under the same masks."""
    model.eval()
    generator = torch.Generator().manual_seed(1)
    results = [loss_and_hits(model, part.long(), tokenizer, generator) for part in rows.split(100)]
    model.train()
    count = len(results)
    return {
        "loss": round(sum(float(loss) for loss, _ in results) / count, 4),
        "accuracy": round(sum(hits for _, hits in results) / count, 4),
    }


def main() -> None:
    """Train tokenizer and model, and save them with what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpora", nargs="+", type=Path, required=True, help="folders of JSON lines")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--minutes", type=float, default=20, help="how long to train the model")
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64, help="sequences an update")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    tokenizer = train_tokenizer(args.corpora, args.vocabulary)
    train, held = pack(args.corpora, tokenizer)
    print(f"{len(tokenizer)} tokens; sequences: {[len(rows) for rows in train]}, held out {len(held)}", flush=True)
    model, report = pretrain(args, tokenizer, train, held)
    save(model, tokenizer, report, args.out)


def pretrain(args: argparse.Namespace, tokenizer: Any, train: list[Tensor], held: Tensor) -> tuple[Any, dict[str, Any]]:
    """Return the trained model and what was measured; the learning rate falls to zero by the clock."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.width,
        num_hidden_layers=args.layers,
        num_attention_heads=max(1, args.width // 64),
        intermediate_size=4 * args.width,
        max_position_embeddings=256,
        hidden_dropout_prob=0.0,  # one pass over much text: nothing to overfit
        attention_probs_dropout_prob=0.0,
    )
    model = BertForMaskedLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01, betas=(0.9, 0.98), fused=True)
    generator = torch.Generator().manual_seed(0)
    share = args.batch // len(train)
    orders = [torch.randperm(len(rows), generator=generator) for rows in train]
    curve = [{"minute": 0.0, "tokens": 0, **held_out(model, held, tokenizer)}]
    started, step, tokens, recent = time.monotonic(), 0, 0, 0.0
    while (done := (time.monotonic() - started) / 60 / args.minutes) < 1:
        parts = [
            rows[order[torch.arange(step * share, (step + 1) * share) % len(rows)]]
            for rows, order in zip(train, orders, strict=True)
        ]
        ids = torch.cat(parts).long()
        ids = ids[:, : int((ids != tokenizer.pad_token_id).sum(1).max())]
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1.0, (step + 1) / 200) * (1 - done)
        loss, _ = loss_and_hits(model, ids, tokenizer, generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step, tokens = step + 1, tokens + int((ids != tokenizer.pad_token_id).sum())
        recent = float(loss.detach()) if step == 1 else 0.98 * recent + 0.02 * float(loss.detach())
        if step % 100 == 0:
            print(
                f"{done * args.minutes:6.2f} min  step {step}  {tokens / 1e6:.2f}M tokens  loss {recent:.3f}",
                flush=True,
            )
        if done * args.minutes >= len(curve) * args.minutes / 8:
            curve.append(
                {"minute": round(done * args.minutes, 2), "tokens": tokens, **held_out(model, held, tokenizer)}
            )
    curve.append({"minute": args.minutes, "tokens": tokens, **held_out(model, held, tokenizer)})
    if not math.isfinite(recent):
        raise SystemExit2("training diverged; try a smaller --lr")
    return model, {
        "minutes": args.minutes,
        "threads": args.threads,
        "steps": step,
        "tokens": tokens,
        "parameters": sum(p.numel() for p in model.parameters()),
        "sequence": LENGTH,
        "batch": args.batch,
        "lr": args.lr,
        "corpora": [folder.name for folder in args.corpora],
        "held_out": curve,
    }


def save(model: Any, tokenizer: Any, report: dict[str, Any], folder: Path) -> None:
    """Write the model in float16 safetensors, its tokenizer, and the report."""
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.1  # for fine-tuning
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(f"wrote {folder}: {sum(file.stat().st_size for file in folder.iterdir()) / 2**20:.2f} MiB", flush=True)


if __name__ == "__main__":
    main()
