"""InforMask: of random maskings, the one whose masked tokens are most informed by the unmasked.

Sadeq, Xu and McAuley, 2022: thesis chapter 7, Algorithm 2. With pmi(w1, w2) of eq. 7.1 over the
whole corpus and skip-grams in a window, a masking of a sequence with masked places M and unmasked
places U has the informative score

    F = sum over w1 in M, w2 in U of pmi(w1, w2)

and the highest of s sampled maskings is taken. Pairs that never co-occur in the corpus count as 0
(their PMI is log 0). Words are token ids, special tokens are in neither M nor U, and all candidates
of a sequence have the same number of masks, so that their scores compare: `rate` of its tokens,
rounded up or down by chance so that the expected rate is `rate`.

F of all candidates of a sequence is m P (1 - m) with m [s, L] their masks and P [L, L] the PMI of
its tokens, which is looked up once: in a dense V x V table up to `DENSE` ids, by binary search in
the sparse one beyond.

Departs from the paper: token ids of the model's own vocabulary instead of 100,000 words; the
window's meaning is ours (see `count_pairs`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fewbench.errors import BenchError
from fewbench.pretrain.masking import Choose, Ids, Places, Vocabulary
from fewbench.pretrain.pmi import count_pairs, pmi

PAPER = "Sadeq et al., 2022, Algorithm 2"
DENSE = 12_288
"""Up to this many ids PMI is a dense float32 table (576 MiB): a look-up costs one read."""
BATCH = 32
"""Sequences scored together: their masks and PMI stay in the processor's cache."""
Lookup = Callable[[Ids], NDArray[np.float32]]


def strategy(
    corpus: Ids,
    vocabulary: Vocabulary,
    *,
    rate: float = 0.15,
    candidates: int = 30,
    window: int = 11,
) -> Choose:
    """Count the corpus' PMI, then choose the best of `candidates` random maskings of each sequence.

    Raises:
        BenchError: no candidates.
    """
    if candidates < 1:
        raise BenchError(
            f"informask chooses among {candidates} candidates",
            allowed="1 or more",
            fix="candidates=30",
        )
    return choose_by(
        pmi(count_pairs(corpus, vocabulary.special, window=window)), vocabulary, rate, candidates
    )


def choose_by(table: csr_array, vocabulary: Vocabulary, rate: float, candidates: int) -> Choose:
    """Return Algorithm 2 for a PMI matrix [V, V] and s candidates."""
    lookup = pair_lookup(table)

    def choose(ids: Ids, rng: np.random.Generator) -> Places:
        chosen = np.zeros(ids.shape, dtype=np.bool_)
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            masks = draw_candidates(~vocabulary.special[part], rate, candidates, rng)
            best = scores(masks, lookup(part), ~vocabulary.special[part]).argmax(axis=1)
            chosen[start : start + BATCH] = masks[np.arange(len(part)), best]
        return chosen

    return choose


def draw_candidates(
    allowed: Places, rate: float, candidates: int, rng: np.random.Generator
) -> Places:
    """Draw s random masks per sequence, each of the same k places, uniform over the allowed.

    k is `rate` of the allowed places, rounded up with the probability of its fraction, thus
    unbiased.

    Args:
        allowed: [n, L].
        rate: 0 to 1.
        candidates: s.
        rng: draws k and the places.

    Returns:
        [n, s, L].
    """
    n, width = allowed.shape
    tokens = allowed.sum(axis=1)
    wanted = np.minimum(np.floor(rate * tokens + rng.random(n)), tokens)
    most = int(wanted.max(initial=0))
    # A sort of random numbers that hold their place in the low bits: no two are equal, and the
    # first k are the sample.
    low = np.uint32((1 << max(1, width - 1).bit_length()) - 1)
    keys = rng.integers(0, 1 << 31, (n, candidates, width), dtype=np.uint32)
    keys = np.where(allowed[:, None], keys & ~low, np.uint32(1 << 31)) | np.arange(
        width, dtype=np.uint32
    )
    keys.sort(axis=2)
    masks = np.zeros((n, candidates, width), dtype=np.bool_)
    sampled = (np.arange(most) < wanted[:, None])[:, None]
    np.put_along_axis(masks, (keys[:, :, :most] & low).astype(np.intp), sampled, axis=2)
    return masks


def scores(masks: Places, pairs: NDArray[np.float32], allowed: Places) -> NDArray[np.float32]:
    """Return F [n, s] of Algorithm 2 from masks [n, s, L], pmi [n, L, L] and allowed [n, L]."""
    masked = masks.astype(np.float32)
    unmasked = (allowed[:, None] & ~masks).astype(np.float32)
    score: NDArray[np.float32] = np.einsum("nsl,nsl->ns", masked @ pairs, unmasked)
    return score


def pair_lookup(table: csr_array, dense: int = DENSE) -> Lookup:
    """Return a function that maps ids [n, L] to the pmi [n, L, L] of all pairs; 0 if not stored.

    Args:
        table: [V, V].
        dense: the most ids V for which the table is held dense, 4 V^2 bytes.
    """
    size = table.shape[0]
    if size <= dense:
        flat = table.toarray().ravel()

        def read(ids: Ids) -> NDArray[np.float32]:
            wide = ids.astype(np.intp)
            found: NDArray[np.float32] = flat.take(wide[:, :, None] * size + wide[:, None])
            return found

        return read
    table = table.sorted_indices()
    rows = np.repeat(np.arange(size, dtype=np.int64), np.diff(table.indptr))
    codes = np.append(
        rows * size + table.indices, size * size
    )  # the last is no pair: every search ends on an entry
    values = np.append(table.data, np.float32(0))

    def search(ids: Ids) -> NDArray[np.float32]:
        wide = ids.astype(np.int64)
        wanted, places = np.unique(wide[:, :, None] * size + wide[:, None], return_inverse=True)
        at = np.searchsorted(codes, wanted)
        found: NDArray[np.float32] = np.where(codes[at] == wanted, values[at], np.float32(0))[
            places
        ]
        return found.reshape(*ids.shape, ids.shape[1])

    return search
