"""Made-up text for tests of masking: a small vocabulary with special tokens and pieces, and a
corpus of it.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fewbench.pretrain.masking import Vocabulary

SIZE, PAD, CLS, SEP = 60, 0, 1, 2
VOCABULARY = Vocabulary(special=np.arange(SIZE) < 3, continues=np.arange(SIZE) % 4 == 3)
IDS = arrays(
    np.uint16, st.tuples(st.integers(1, 5), st.integers(1, 24)), elements=st.integers(0, SIZE - 1)
)
SEEDS = st.integers(0, 2**32 - 1)


def generator(seed=0):
    return np.random.default_rng(seed)


def zipf_corpus():
    """800 sequences of up to 40 places with Zipf's frequencies, [CLS], [SEP] and padding; the last
    is all special.
    """
    rng = generator(7)
    weights = 1 / np.arange(1, SIZE - 2)
    ids = rng.choice(np.arange(3, SIZE), (800, 40), p=weights / weights.sum())
    ends = rng.integers(8, 40, 800)
    ids[np.arange(40) > ends[:, None]] = PAD
    ids[np.arange(800), ends] = SEP
    ids[:, 0] = CLS
    ids[-1] = PAD
    ids = ids.astype(np.uint16)
    ids.flags.writeable = False
    return ids


CORPUS = zipf_corpus()
