"""The rows and masks of each update.

They depend on the seed and the update number alone, so a resumed run sees the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fewbench.pretrain.masking import Choose, Vocabulary
from fewbench.pretrain.objective import Masked
from fewbench.pretrain.packing import Rows

MASK_SHARE, NOISE_SHARE = 0.8, 0.1
"""Of the chosen places, the share that becomes [MASK] and the share that becomes any token; the
rest stay (BERT).
"""


class Order:
    """Orders the rows of all corpora: each gives its share per update, reshuffled every pass."""

    def __init__(self, corpora: Sequence[Rows], batch: int, seed: int) -> None:
        self._corpora = corpora
        self._seed = seed
        share, rest = divmod(batch, len(corpora))
        self._shares = [share + (corpus < rest) for corpus in range(len(corpora))]
        self._passes: dict[int, tuple[int, NDArray[np.int64]]] = {}

    def places(self, update: int) -> list[tuple[int, int]]:
        """Return corpus and number of each row of an update (from 0)."""
        places = []
        for corpus, share in enumerate(self._shares):
            size = len(self._corpora[corpus])
            for i in range(update * share, (update + 1) * share):
                order = self._permutation(corpus, i // size)
                places.append((corpus, int(order[i % size])))
        return places

    def rows(self, update: int) -> NDArray[np.int64]:
        """Return the ids [batch, length] of an update."""
        places = self.places(update)
        return np.stack([np.asarray(self._corpora[c][row], np.int64) for c, row in places])

    def _permutation(self, corpus: int, number: int) -> NDArray[np.int64]:
        current, order = self._passes.get(corpus, (None, None))
        if order is None or current != number:
            rng = np.random.default_rng([self._seed, corpus, number])
            order = rng.permutation(len(self._corpora[corpus]))
            self._passes[corpus] = (number, order)
        return order


def mask(
    ids: NDArray[np.int64],
    choose: Choose,
    vocabulary: Vocabulary,
    mask_id: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the ids [n, L] as the model sees them, and which places it must answer for [n, L]."""
    chosen = choose(ids, rng)
    kind = rng.random(ids.shape)
    words = np.flatnonzero(~vocabulary.special)
    noise = words[rng.integers(len(words), size=ids.shape)]
    masked = chosen & (kind < MASK_SHARE)
    noisy = chosen & (kind >= 1 - NOISE_SHARE)
    seen = np.where(masked, mask_id, ids)
    return np.where(noisy, noise, seen), chosen


def tensors(
    ids: NDArray[np.int64],
    seen: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    parts: int,
    device: Any,
    around: NDArray[np.float32] | None = None,
) -> Iterator[Masked]:
    """Yield an update's rows in equal parts; parts without a masked place are skipped."""
    for rows in np.split(np.arange(len(ids)), parts):
        places = np.flatnonzero(chosen[rows])
        if not len(places):
            continue
        arrays: list[NDArray[Any]] = [seen[rows], places, ids[rows].reshape(-1)[places]]
        if around is not None:
            arrays.append(around[rows])
        yield Masked(*(torch.from_numpy(a).to(device, non_blocking=True) for a in arrays))
