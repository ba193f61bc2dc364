"""Masked words of a batch, for losses on masked words beside a method's own.

Axes: M masked places.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fewbench.nn.batch import Batch

SHARE = 0.15
"""The masked share of a passage's tokens, as in BERT."""


class MaskedBatch(NamedTuple):
    """A batch with masked tokens: their places [M] in order, and the tokens [M] that were there."""

    batch: Batch
    places: Tensor
    answers: Tensor


def mask_words(batch: Batch, tokenizer: Any) -> MaskedBatch:
    """Hide 15% of a batch's ordinary tokens, at least one, as BERT does.

    80% become masks, 10% a random token, 10% stay.
    """
    ids = batch.ids.cpu()
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    count = max(1, round(SHARE * int((~special).sum())))
    places = torch.rand(len(ids)).masked_fill(special, -1.0).topk(count).indices.sort().values
    fate = torch.rand(count)
    answers = ids[places]
    inputs = torch.where(fate < 0.9, torch.randint(len(tokenizer), (count,)), answers)
    inputs = torch.where(fate < 0.8, torch.tensor(tokenizer.mask_token_id), inputs)
    device = batch.ids.device
    hidden = replace(batch, ids=ids.index_copy(0, places, inputs).to(device))
    return MaskedBatch(hidden, places.to(device), answers.to(device))
