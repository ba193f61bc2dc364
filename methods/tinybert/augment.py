"""Replace words by what a masked model puts there: TinyBERT's data augmentation, Algorithm 1.

As in the authors' code, candidates are those of the original text with one word masked, and are
computed once a text. A word of several pieces stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Encoded, Tokens, by_length, collate
from fewbench.nn.task_model import TOKENS_A_BATCH
from fewbench.types import Example

LONGEST = 512
"""The most tokens of a text that are read; words beyond stay."""
BOUNDARIES = "Ġ▁"
"""Marks of a piece that begins a word, in tokenizers that have them."""
CONTINUES = "##"
"""The mark of a WordPiece that continues a word."""


class MaskableWord(NamedTuple):
    """A word of one piece, its place in the text and in the tokens, and what may replace it."""

    start: int
    end: int
    place: int
    candidates: tuple[str, ...] = ()


def augmented(
    masked: Backbone,
    examples: Sequence[Example],
    copies: int,
    share: float,
    candidates: int,
    seed: int,
) -> list[Example]:
    """Return copies of examples with words replaced; options stay.

    Args:
        masked: a pretrained masked model.
        examples: whose texts are changed.
        copies: of each example, N_a.
        share: the chance that a word is replaced, p_t.
        candidates: the likeliest words that one is drawn from, K.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    texts = dict.fromkeys(text for example in examples for text in example.texts)
    words = {text: words_of(masked, text, candidates) for text in texts}
    made = []
    for example in examples:
        for number in range(copies):
            changed = tuple(reworded(text, words[text], share, rng) for text in example.texts)
            made.append(replace(example, id=f"{example.id}-augmented-{number}", texts=changed))
    return made


def reworded(
    text: str, words: Sequence[MaskableWord], share: float, rng: np.random.Generator
) -> str:
    """Replace each word with the chance `share` by one of its candidates."""
    pieces, end = [], 0
    for word in words:
        if rng.random() <= share and word.candidates:
            pieces += [text[end : word.start], word.candidates[rng.integers(len(word.candidates))]]
            end = word.end
    return "".join([*pieces, text[end:]])


@torch.no_grad()
def words_of(masked: Backbone, text: str, candidates: int) -> list[MaskableWord]:
    """List a text's words of one piece, each with the likeliest words in its place."""
    tokenizer = masked.tokenizer
    options = {"truncation": True, "max_length": min(LONGEST, masked.places)}
    read = tokenizer(text, return_offsets_mapping=True, **options)
    ids = read["input_ids"]
    words = _single_pieces(text, read["offset_mapping"])
    encoded = [_hidden(ids, word.place, tokenizer.mask_token_id) for word in words]
    found = list(words)
    for indices in by_length(encoded, TOKENS_A_BATCH):
        batch = collate([encoded[n] for n in indices], masked.device)
        scores = masked.vocabulary_scores(batch)[:, : len(tokenizer)]
        for index, row in zip(indices, scores.argsort(-1, descending=True).tolist(), strict=True):
            likeliest = _whole_words(tokenizer, row[:candidates], ids[words[index].place])
            found[index] = words[index]._replace(candidates=likeliest)
    return found


def _single_pieces(text: str, offsets: Sequence[tuple[int, int]]) -> list[MaskableWord]:
    spans = {match.span() for match in re.finditer(r"\w+", text)}
    return [
        MaskableWord(*span, place) for place, span in enumerate(offsets) if tuple(span) in spans
    ]


def _hidden(ids: Sequence[int], place: int, mask: int) -> Encoded:
    hidden = (*ids[:place], mask, *ids[place + 1 :])
    return Encoded((Tokens(hidden, (0,) * len(hidden), place),), None)


def _whole_words(tokenizer: Any, likeliest: Sequence[int], original: int) -> tuple[str, ...]:
    """Return those of some tokens that are words where the original one is."""
    special = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens([original, *likeliest])
    begins = [piece[:1] in BOUNDARIES for piece in pieces]
    return tuple(
        tokenizer.decode([token]).strip()
        for token, piece, is_start in zip(likeliest, pieces[1:], begins[1:], strict=True)
        if token not in special and not piece.startswith(CONTINUES) and is_start == begins[0]
    )
