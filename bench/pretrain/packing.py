"""Documents as packed rows of token ids, without padding; each corpus is encoded once and cached.

A row is [CLS] text [SEP], `length` tokens long. A document's end is a [SEP], and the next one
follows in the same row, as in RoBERTa's FULL-SENTENCES. What is left at a corpus's end and fills no
row is left out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from fewbench.data.documents import HUB, Document, corpus_files, documents, is_held_out
from fewbench.data.tokenizer_check import read_as_text
from fewbench.errors import DataError
from fewbench.io.atomic import write_whole

Rows = NDArray[np.uint16] | NDArray[np.int32]
ENCODED_AT_ONCE = 512  # documents handed to the tokenizer together: it encodes them in parallel
HELD_OUT_ROWS = 1000
"""Rows of all held-out text together that are used to measure, the same share of each corpus."""


class Packed(NamedTuple):
    """A corpus as rows [n, length] of token ids: to train on, and held out."""

    train: Rows
    held_out: Rows


def pack(source: str, tokenizer: Any, length: int, cache: Path) -> Packed:
    """Return a corpus packed, from `cache` if it was packed there by the same tokenizer before.

    Args:
        source: what `documents` takes.
        tokenizer: a fast tokenizer with [CLS] and [SEP], or what the family calls them.
        length: tokens a row.
        cache: a folder; the files in it are named by a hash of corpus, tokenizer and length.

    Raises:
        DataError: a corpus too small to fill a row of each kind.
    """
    encoder = _encoder(tokenizer)
    key = _key(source, encoder, length)
    files = [cache / f"{key}-{part}.npy" for part in Packed._fields]
    if not all(file.exists() for file in files):
        for file, rows in zip(files, _pack(source, tokenizer, encoder, length), strict=True):
            if not len(rows):
                kind = "held-out text" if "held" in file.name else "text"
                raise DataError(f"too little {kind} for one row of {length} tokens", where=source)
            write_whole(file, _bytes(rows))
    return Packed(*(np.load(file, mmap_mode="r", allow_pickle=False) for file in files))


def held_out_rows(corpora: Iterable[Packed]) -> Rows:
    """Return the rows to measure on: the first held-out rows, the same number of each corpus."""
    parts = [packed.held_out for packed in corpora]
    share = HELD_OUT_ROWS // len(parts)
    return np.concatenate([np.asarray(part[:share]) for part in parts])


def _encoder(tokenizer: Any) -> Tokenizer:
    """Return the tokenizer's encoder without truncation, padding or special tokens.

    A model is often saved with the truncation and padding that it was tuned with: documents would
    be cut off at them.
    """
    encoder = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    encoder.no_truncation()
    encoder.no_padding()
    read_as_text(encoder)
    return encoder


def _pack(source: str, tokenizer: Any, encoder: Tokenizer, length: int) -> tuple[Rows, Rows]:
    kind: Any = np.uint16 if len(tokenizer) <= 1 << 16 else np.int32
    train: list[NDArray[Any]] = []
    held_out: list[NDArray[Any]] = []
    for number, ids in enumerate(_encoded(documents(source), encoder)):
        stream = held_out if is_held_out(number) else train
        stream.append(np.asarray([*ids, tokenizer.sep_token_id], kind))
    return _rows(train, tokenizer, length, kind), _rows(held_out, tokenizer, length, kind)


def _encoded(texts: Iterator[Document], encoder: Tokenizer) -> Iterator[list[int]]:
    joined = map(" ".join, texts)
    while block := list(itertools.islice(joined, ENCODED_AT_ONCE)):
        for encoding in encoder.encode_batch(block, add_special_tokens=False):
            yield encoding.ids


def _rows(stream: list[NDArray[Any]], tokenizer: Any, length: int, kind: Any) -> Rows:
    tokens = np.concatenate(stream) if stream else np.empty(0, kind)
    inner = length - 2
    count = len(tokens) // inner
    rows = np.empty((count, length), kind)
    rows[:, 0] = tokenizer.cls_token_id
    rows[:, -1] = tokenizer.sep_token_id
    rows[:, 1:-1] = tokens[: count * inner].reshape(count, inner)
    return rows


def _key(source: str, encoder: Tokenizer, length: int) -> str:
    """Hash all that the packed rows depend on; for local files: names, sizes and times."""
    files = [] if source.startswith(HUB) else corpus_files(source)
    stamps = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    text = json.dumps([source, stamps, length, encoder.to_str()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _bytes(rows: Rows) -> bytes:
    import io

    stream = io.BytesIO()
    np.save(stream, rows, allow_pickle=False)
    return stream.getvalue()
