"""Random masking: every token is chosen on its own with the same probability.

Devlin et al., 2019, section 3.1.

Departs from the paper: independent draws (Bernoulli) instead of a fixed count a sequence, as in
RoBERTa, so that the expected rate is the same for short sequences and is `rate` exactly.
"""

from __future__ import annotations

import numpy as np

from fewbench.pretrain.masking import Choose, Ids, Places, Vocabulary

PAPER = "Devlin et al., 2019, section 3.1"


def strategy(corpus: Ids, vocabulary: Vocabulary, *, rate: float = 0.15) -> Choose:
    """Choose each token that is not special with probability `rate`; the corpus is not used."""

    def choose(ids: Ids, rng: np.random.Generator) -> Places:
        chosen: Places = (rng.random(ids.shape, dtype=np.float32) < rate) & ~vocabulary.special[ids]
        return chosen

    return choose
