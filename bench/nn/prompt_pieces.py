"""Stretches of a prompt as token ids, tokenised one by one as if they were running text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fewbench.data.tokenizer_check import BOUNDARY


def puts_boundary(tokenizer: Any) -> bool:
    """True if a tokenizer itself puts a word boundary before a text (SentencePiece; Llama)."""
    ids = tokenizer("a", add_special_tokens=False)["input_ids"]
    return bool(ids) and str(tokenizer.convert_ids_to_tokens(ids[0])).startswith(BOUNDARY)


def tokenise(tokenizer: Any, texts: Sequence[str], *, goes_on: bool) -> list[list[int]]:
    """Return the token ids of texts without special tokens.

    A boundary that the tokenizer puts itself stands for the space that a text begins with, and goes
    where a text goes on without a space.

    Args:
        tokenizer: a fast one.
        texts: the same stretch of several prompts.
        goes_on: something that is read stands right before them.
    """
    if not puts_boundary(tokenizer):
        found: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return found
    bare = [text.removeprefix(" ") for text in texts]
    read = tokenizer(bare, add_special_tokens=False)["input_ids"]
    joined = [goes_on and text == plain for text, plain in zip(texts, bare, strict=True)]
    return [
        _without_boundary(tokenizer, ids) if on else ids
        for ids, on in zip(read, joined, strict=True)
    ]


def word_pieces(tokenizer: Any, word: str) -> list[int]:
    """Tokenize a label word as in running text: after a space, but before punctuation.

    It may be written with the boundary that SentencePiece puts before a word. A boundary that is a
    token of its own is none of its pieces, and a Chinese word stands after no space: one that the
    tokenizer puts before it goes.
    """
    word = word.removeprefix(BOUNDARY) or word
    text = word if word[0] in "<[.," or puts_boundary(tokenizer) else " " + word
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) > 1 and "\u4e00" <= word[0] <= "\u9fff":
        return _without_boundary(tokenizer, ids)
    alone = len(ids) > 1 and str(tokenizer.convert_ids_to_tokens(ids[0])) == BOUNDARY
    return ids[1:] if alone else ids


def _without_boundary(tokenizer: Any, ids: list[int]) -> list[int]:
    """Drop the boundary before a text, if the vocabulary also has its first piece without one."""
    first = str(tokenizer.convert_ids_to_tokens(ids[0])) if ids else ""
    if first == BOUNDARY:
        return ids[1:]
    alone = (
        tokenizer.convert_tokens_to_ids(first.removeprefix(BOUNDARY))
        if first.startswith(BOUNDARY)
        else None
    )
    return ids if alone in (None, tokenizer.unk_token_id) else [alone, *ids[1:]]
