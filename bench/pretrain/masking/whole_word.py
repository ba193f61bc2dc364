"""Whole-word masking: all pieces of a chosen word are chosen.

Devlin et al., 2019, in the release of May 2019 (a change of the data only; it has no equation).

Departs from the release: the last word of a sequence is drawn so that the expected rate is `rate`
exactly, instead of leaving out words that would overstep it.
"""

from __future__ import annotations

import numpy as np

from fewbench.pretrain.masking import Choose, Ids, Places, Vocabulary, find_words, take_units

PAPER = "Devlin et al., 2019, release of May 2019"


def strategy(corpus: Ids, vocabulary: Vocabulary, *, rate: float = 0.15) -> Choose:
    """Choose words in random order until `rate` of a sequence's tokens are chosen.

    The corpus is not used.
    """

    def choose(ids: Ids, rng: np.random.Generator) -> Places:
        return take_units(find_words(ids, vocabulary).number, rate, rng)

    return choose
