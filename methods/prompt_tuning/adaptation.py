"""LM adaptation: train an encoder-decoder on as a language model, whole, before prompts are tuned.

Lester et al., 2021, section 3: T5's spans are no text, so T5 is trained on for some steps by the
"LM" objective of Raffel et al., 2020, section 3.2.1. The encoder reads the start of a passage, and
the decoder says the rest. The start has 1 to n - 1 of a passage's n tokens, each number as likely:
half of the passage on average. Passages have up to 512 tokens of one document, and start and rest
end in </s>, as in T5's code. There is no dropout, as in the pretraining of T5 1.1.

Axes: B passages, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fewbench.data.documents import Document
from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.loss_log import LossLog
from fewbench.nn.micro_batch import MicroBatches
from fewbench.types import Json

LENGTH = 512
BLOCK = 256
"""Documents in memory at a time, whose passages are shuffled."""


class Halves(NamedTuple):
    """The token ids of a passage's start, which is read, and of its rest, which is said."""

    start: list[int]
    rest: list[int]


def passages(
    read: Callable[[], Iterable[Document]], tokenizer: Any, rng: Random, length: int = LENGTH
) -> Iterator[Halves]:
    """Yield the passages of a corpus for ever, shuffled within a block of documents and cut in two.

    Args:
        read: gives the corpus's documents from the start.
        tokenizer: of the model.
        rng: draws order and cuts.
        length: tokens of a passage; shorter ones stand at the ends of documents.

    Raises:
        BenchError: no document has two tokens.
    """
    end = tokenizer.eos_token_id
    while True:
        documents, found = iter(read()), False
        while block := list(islice(documents, BLOCK)):
            whole = _whole_passages(block, tokenizer, length)
            rng.shuffle(whole)
            for ids in whole:
                found = True
                cut = rng.randint(1, len(ids) - 1)
                yield Halves([*ids[:cut], end], [*ids[cut:], end])
        if not found:
            raise BenchError("no document of this corpus has two tokens", fix="--corpus with texts")


def _whole_passages(block: Sequence[Document], tokenizer: Any, length: int) -> list[list[int]]:
    """List the passages of some documents as token ids, of two tokens or more each."""
    texts = [" ".join(document) for document in block]
    found = []
    for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]:
        pieces = [ids[begin : begin + length] for begin in range(0, len(ids), length)]
        found += [piece for piece in pieces if len(piece) > 1]
    return found


def language_model_loss(backbone: Backbone, batch: Sequence[Halves]) -> Tensor:
    """Return the mean over the rests' tokens of -log p(token | start, tokens before it)."""
    starts = _padded([halves.start for halves in batch], backbone.tokenizer.pad_token_id)
    rests = _padded([halves.rest for halves in batch], -100)  # -100 is left out of the mean
    lengths = torch.tensor([len(halves.start) for halves in batch])
    real = torch.arange(starts.shape[1]) < lengths[:, None]
    place = backbone.device
    said: Any = backbone.model(
        input_ids=starts.to(place), attention_mask=real.long().to(place), labels=rests.to(place)
    )
    loss: Tensor = said.loss
    return loss


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Return rows of token ids as one tensor [B, T], padded on the right."""
    ids = torch.full((len(rows), max(map(len, rows))), fill)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
    return ids


def adapt(
    backbone: Backbone, drawn: Iterator[Halves], *, updates: int, batch_size: int, lr: float
) -> Json:
    """Train all weights as a language model, and return the mean loss of the last tenth.

    Adam at a constant rate, gradients clipped at 1.

    Args:
        backbone: an encoder-decoder.
        drawn: passages.
        updates: the number of updates.
        batch_size: passages per update.
        lr: the rate.

    Raises:
        BenchError: the loss is not finite, or memory is too small.
    """
    backbone.eval()
    trained = [*backbone.model.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.0)
    log, parts = LossLog("a smaller pretrain_lr"), MicroBatches()
    for update in range(1, updates + 1):
        batch = list(islice(drawn, batch_size))
        optimizer.zero_grad()
        loss = parts.gradient(
            backbone,
            lambda some: language_model_loss(backbone, some),
            batch,
            trained,
            update=update,
            counts=[len(halves.rest) for halves in batch],
        )
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        log.note(loss)
    parts.warn()
    losses = log.values()
    tenth = max(1, updates // 10)
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    said = {"updates": updates, "first_loss": round(first, 4), "last_loss": round(last, 4)}
    return said | parts.notes()


def weights(backbone: Backbone) -> dict[str, Tensor]:
    """Return all weights by name, those that are tied once."""
    return {name: weight.detach() for name, weight in backbone.model.named_parameters()}


@torch.no_grad()
def with_weights(backbone: Backbone, tensors: Mapping[str, Tensor]) -> Backbone:
    """Give a model other weights, as `weights` returned them, and return it."""
    for name, weight in backbone.model.named_parameters():
        weight.copy_(tensors[name])
    return backbone
