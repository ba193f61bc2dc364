"""Skip-gram co-occurrence of token ids in a corpus, and their pointwise mutual information (PMI).

Sadeq, Xu and McAuley, 2022 (InforMask): thesis chapter 7, section 7.2.1 and eq. 7.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

PAPER = "Sadeq et al., 2022, eq. 7.1"


def count_pairs(
    corpus: NDArray[np.integer[Any]],
    special: NDArray[np.bool_],
    *,
    window: int = 11,
    block: int = 1 << 20,
) -> csr_array:
    """Count how often two token ids occur within `window` consecutive places of a sequence.

    Two places of a sequence co-occur when they are at most `window - 1` apart, that is when some
    window holds both; each such pair of places counts once, however many windows hold it. Special
    tokens take up a place and are not counted. C[a, b] is the number of ordered pairs of different
    places (i, j) with ids (a, b), so C is symmetric and its diagonal is even.

    One pass over blocks of whole sequences. Memory: 2 (window - 1) codes of 4 bytes (8 bytes where
    V > 65,536) a token of a block, thus 80 MiB for the defaults, and 12 bytes a distinct pair a <=
    b, held twice while a block is merged and twice in C. Time: one sort of a block's codes, and one
    walk over the distinct pairs a block.

    Args:
        corpus: [N, L] token ids; may be memory-mapped.
        special: [V], ids that are not counted.
        window: consecutive places that a window spans, 2 or more.
        block: tokens counted between two merges.

    Returns:
        C [V, V], int64.
    """
    size = len(special)
    rows = max(1, block // max(1, corpus.shape[1]))
    upper = csr_array((size, size), dtype=np.int64)
    for start in range(0, len(corpus), rows):
        ids = np.asarray(corpus[start : start + rows])
        upper = upper + _from_codes(_pair_codes(ids, special, window), size)
    return (upper + upper.T).tocsr()


def _pair_codes(
    ids: NDArray[np.integer[Any]], special: NDArray[np.bool_], window: int
) -> NDArray[np.unsignedinteger]:
    """Return the sorted codes a V + b, a <= b, of all co-occurring pairs of ids [n, L]."""
    size = len(special)
    wide = ids.astype(np.uint32 if size <= 1 << 16 else np.uint64)
    kept = ~special[ids]
    codes = []
    for apart in range(1, min(window, ids.shape[1])):
        both = kept[:, :-apart] & kept[:, apart:]
        left, right = wide[:, :-apart][both], wide[:, apart:][both]
        lower, upper = np.minimum(left, right), np.maximum(left, right)
        codes.append(lower * wide.dtype.type(size) + upper)
    together = np.concatenate(codes) if codes else np.zeros(0, wide.dtype)
    together.sort()
    return together


def _from_codes(codes: NDArray[np.unsignedinteger], size: int) -> csr_array:
    """Return the matrix [V, V] that counts sorted codes."""
    first = np.zeros(0, np.int64)
    if len(codes):
        differs = codes[1:] != codes[:-1]
        first = np.flatnonzero(np.concatenate(([True], differs)))
    distinct, counts = codes[first], np.diff(first, append=len(codes))
    rows, columns = np.divmod(distinct, codes.dtype.type(size))
    ends = np.searchsorted(rows, np.arange(size + 1, dtype=rows.dtype)).astype(np.int32)
    return csr_array((counts, columns.astype(np.int32), ends), shape=(size, size))


def pmi(counts: csr_array, *, positive: bool = False) -> csr_array:
    """Return the pointwise mutual information of every counted pair; eq. 7.1, natural logarithm.

    pmi(w1, w2) = log [p(w1, w2) / (p(w1) p(w2))] with p(w1, w2) = C[w1, w2] / sum C and p(w) = sum
    of row w / sum C, the marginal of the same pairs, so that independent tokens have PMI 0. A pair
    that never co-occurs has PMI log 0: it is not stored, and so counts as 0 (no evidence) wherever
    entries are summed.

    Args:
        counts: C [V, V] of `count_pairs`.
        positive: keep positive values only, max(pmi, 0), as embeddings from PMI do.

    Returns:
        [V, V], float32, of the pattern of C, or a part of it with `positive`.
    """
    counts = counts.tocsr()
    marginal = np.asarray(counts.sum(axis=1), dtype=np.float64)
    log_marginal = np.log(marginal, out=np.zeros_like(marginal), where=marginal > 0)
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    total = np.log(max(marginal.sum(), 1.0))
    independent = log_marginal[rows] + log_marginal[counts.indices]
    values = np.log(counts.data) + total - independent
    if positive:
        values = np.maximum(values, 0)
    result = csr_array(
        (values.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape, copy=True
    )
    if positive:
        result.eliminate_zeros()
    return result
