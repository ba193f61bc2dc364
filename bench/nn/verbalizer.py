"""Label words as token ids: each class has one or more words, its score the mean of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn.prompt_pieces import word_pieces
from fewbench.types import Task


class Verbalizer(nn.Module):
    """Maps scores of label words to scores of classes: the mean over a class's words (PET).

    `words` holds the token ids of all words, [W].
    """

    words: Tensor
    _share: Tensor

    def __init__(self, ids: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        flat = [token for words in ids for token in words]
        share = torch.zeros(len(flat), len(ids))
        start = 0
        for label, words in enumerate(ids):
            share[start : start + len(words), label] = 1 / len(words)
            start += len(words)
        self.register_buffer("words", torch.tensor(flat), persistent=False)
        self.register_buffer("_share", share, persistent=False)

    def forward(self, scores: Tensor) -> Tensor:
        """Return class scores [B, C] for word scores [B, W]."""
        return scores @ self._share.to(scores.dtype)


class SumVerbalizer(Verbalizer):
    """Adds the probabilities of a class's words up instead: thesis, equation 6.2, in logarithms."""

    def forward(self, scores: Tensor) -> Tensor:
        """Return the log of each class's summed exp(score), [B, C], for word scores [B, W]."""
        return (scores[:, :, None] + self._share.sign().log()).logsumexp(1)


def word_ids(task: Task, tokenizer: Any) -> tuple[tuple[int, ...], ...]:
    """Return the token id of every label word, class by class.

    A word is looked up as it stands in running text, after a space (LM-BFF), unless it begins with
    punctuation.

    Raises:
        BenchError: a word of several pieces, one that the tokenizer lacks, or one token for two
            classes.
    """
    ids = tuple(_tokens(task, words, tokenizer) for words in task.words)
    owner: dict[int, int] = {}
    for label, tokens in enumerate(ids):
        for token in tokens:
            if owner.setdefault(token, label) != label:
                raise BenchError(
                    f"the labels '{task.labels[owner[token]]}' and '{task.labels[label]}' share "
                    f"the token '{tokenizer.convert_ids_to_tokens(token)}' with this tokenizer",
                    where=f"{task.file} [{task.name}] words",
                    fix="choose words that differ in more than case",
                )
    return ids


def _tokens(task: Task, words: Sequence[str], tokenizer: Any) -> tuple[int, ...]:
    return tuple(_token(task, word, tokenizer) for word in words)


def _token(task: Task, word: str, tokenizer: Any) -> int:
    ids = word_pieces(tokenizer, word)
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        pieces = " ".join(tokenizer.convert_ids_to_tokens(ids))
        raise BenchError(
            f"the label word '{word}' is {len(ids)} pieces with this tokenizer: {pieces}",
            where=f"{task.file} [{task.name}] words",
            allowed="words of one piece",
            fix="another word, or a model whose vocabulary has this one",
        )
    return int(ids[0])
