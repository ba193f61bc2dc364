"""The words before and after a row in its document, as a distribution over the vocabulary.

A text that must tell the words of its neighbours learns what it is about, and whether it praises:
FastSent (Hill, Cho and Korhonen, 2016) predicts them as a bag. Frequent words are thinned as in
word2vec (Mikolov et al., 2013, equation 5), or the bag would be nearly the same everywhere. Axes: n
rows, N of a corpus, L places, V tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewbench.pretrain.masking import Vocabulary
from fewbench.pretrain.packing import Rows

REACH = 256
"""Tokens before a row, and as many after it, that are around it: about a film review."""
THINNED = 1e-4
"""A word with a larger share f of the text counts as sqrt(THINNED / f) words."""


class Context:
    """Looks up the words around rows of packed corpora.

    Args:
        corpora: rows [N, L] of each, in the order of their documents.
        vocabulary: tokens that are no text, and pieces that continue a word; neither is a word
            around.
        separator: the token that ends a document.
    """

    def __init__(self, corpora: Sequence[Rows], vocabulary: Vocabulary, separator: int) -> None:
        self._corpora, self._separator = corpora, separator
        size = vocabulary.size
        counts = sum(np.bincount(np.asarray(rows).ravel(), minlength=size) for rows in corpora)
        words = np.where(vocabulary.special | vocabulary.continues, 0, counts)
        thinned = np.sqrt(THINNED * words.sum() / np.maximum(words, 1))
        self._weights = np.where(words > 0, thinned, 0).clip(max=1)

    def around(self, places: Iterable[tuple[int, int]]) -> NDArray[np.float32]:
        """Return the distribution [n, V] of the words around each (corpus, row); zeros if none.

        A row that holds the end of a document counts as part of its last token's document.
        """
        bags = []
        for place in places:
            ids = self._ids(place)
            bags.append(np.bincount(ids, self._weights[ids], len(self._weights)))
        return np.stack([bag / max(bag.sum(), 1e-9) for bag in bags]).astype(np.float32)

    def _ids(self, place: tuple[int, int]) -> NDArray[Any]:
        """Return the tokens before and after a row in its document."""
        corpus, row = place
        rows = self._corpora[corpus]
        inner = rows.shape[1] - 2
        reach = -(-REACH // inner)
        first = max(0, row - reach)
        ids = np.asarray(rows[first : row + reach + 1, 1:-1]).ravel()
        start = (row - first) * inner
        stop = start + inner
        ends = ids == self._separator
        document = np.cumsum(ends) - ends
        around = document == document[stop - 1]
        around[: max(0, start - REACH)] = False
        around[start:stop] = False
        around[stop + REACH :] = False
        tokens: NDArray[Any] = ids[around]
        return tokens
