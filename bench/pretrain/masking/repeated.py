"""InforMask decided once: a sequence has the same masks in every epoch.

Sadeq, Xu and McAuley, 2022: thesis chapter 7, Figure 7.6, the repetition that token-specific rates
(`token-rates`) are compared with. Algorithm 2 draws for each sequence from a generator of its own,
seeded by its tokens, so that nothing has to be stored.

Departs from the paper: what stands at a masked place (the mask, a random token, the token itself)
is drawn anew in each epoch.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from fewbench.pretrain.masking import Choose, Ids, Places, Vocabulary, informask

PAPER = "Sadeq et al., 2022, Figure 7.6"


def strategy(
    corpus: Ids,
    vocabulary: Vocabulary,
    *,
    rate: float = 0.15,
    candidates: int = 30,
    window: int = 11,
    seed: int = 0,
) -> Choose:
    """Choose as InforMask does, and the same places whenever a sequence comes again.

    Raises:
        BenchError: no candidates.
    """
    once = informask.strategy(corpus, vocabulary, rate=rate, candidates=candidates, window=window)

    def choose(ids: Ids, rng: np.random.Generator) -> Places:
        rows = [once(row[None], generator_of(row, seed)) for row in ids]
        return np.concatenate(rows) if rows else np.zeros(ids.shape, np.bool_)

    return choose


def generator_of(row: Ids, seed: int) -> np.random.Generator:
    """Return a sequence's own generator: the same for the same tokens, whatever their type."""
    return np.random.default_rng([seed, crc32(row.astype(np.int64).tobytes())])
