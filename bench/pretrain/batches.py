"""The rows of every update and their masks: functions of seed and update alone, so that a resumed
run sees the same.
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
    """Which rows an update sees: from each corpus its share, in an order of its own in every pass
    over it.
    """

    def __init__(self, corpora: Sequence[Rows], batch: int, seed: int) -> None:
        self._corpora, self._seed = corpora, seed
        self._shares = [
            batch // len(corpora) + (c < batch % len(corpora)) for c in range(len(corpora))
        ]
        self._passes: dict[int, tuple[int, NDArray[np.int64]]] = {}

    def places(self, update: int) -> list[tuple[int, int]]:
        """Return corpus and number of each row of an update (from 0)."""
        return [
            (corpus, int(self._permutation(corpus, i // len(rows))[i % len(rows)]))
            for corpus, (rows, share) in enumerate(zip(self._corpora, self._shares, strict=True))
            for i in range(update * share, (update + 1) * share)
        ]

    def rows(self, update: int) -> NDArray[np.int64]:
        """Return the ids [batch, length] of an update."""
        return np.stack(
            [
                np.asarray(self._corpora[corpus][row], np.int64)
                for corpus, row in self.places(update)
            ]
        )

    def _permutation(self, corpus: int, number: int) -> NDArray[np.int64]:
        if self._passes.get(corpus, (-1,))[0] != number:
            rng = np.random.default_rng([self._seed, corpus, number])
            self._passes[corpus] = (number, rng.permutation(len(self._corpora[corpus])))
        return self._passes[corpus][1]


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
    seen = np.where(chosen & (kind < MASK_SHARE), mask_id, ids)
    return np.where(chosen & (kind >= 1 - NOISE_SHARE), noise, seen), chosen


def tensors(
    ids: NDArray[np.int64],
    seen: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    parts: int,
    device: Any,
    around: NDArray[np.float32] | None = None,
) -> Iterator[Masked]:
    """Yield an update's rows in equal parts; parts without a masked place are left out."""
    for rows in np.split(np.arange(len(ids)), parts):
        flat = np.flatnonzero(chosen[rows])
        if len(flat):
            arrays = (
                seen[rows],
                flat,
                ids[rows].reshape(-1)[flat],
                *([] if around is None else [around[rows]]),
            )
            yield Masked(*(torch.from_numpy(a).to(device, non_blocking=True) for a in arrays))
