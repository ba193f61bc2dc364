"""InforMask by token-specific rates: each id is masked at the rate it had under Algorithm 2.

Sadeq, Xu and McAuley, 2022: thesis chapter 7, section 7.2.3. Algorithm 2 runs once over a share of
the corpus. With m(w) times that token id w was masked of c(w) that it was seen, its rate is

    r(w) = (m(w) + prior rate) / (c(w) + prior),

times a constant that makes the expected rate over the whole corpus `rate`; no rate is above 1.
Pretraining then masks each token on its own with the rate of its id, as fast as random masking and
anew in every epoch.

Departs from the paper: the paper uses m(w) / c(w) alone. An id seen less than about `prior` times
would have a rate of chance (0 or 1 when seen once), and one never seen none; `prior` draws them to
the overall rate, and does not matter where c(w) is much larger. The constant is ours too, as the
sample's mean rate is not exactly the corpus'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from fewbench.errors import BenchError
from fewbench.pretrain.masking import Choose, Ids, Places, Vocabulary, informask

PAPER = "Sadeq et al., 2022, section 7.2.3"
ROWS = 4096
"""Sequences of the corpus looked at together."""


@dataclass(frozen=True, slots=True)
class ByToken:
    """Chooses each place independently at the rate of its id: `rates` [V], 0 at special ids."""

    rates: NDArray[np.float64]

    def __call__(self, ids: Ids, rng: np.random.Generator) -> Places:
        """Return the chosen places [n, L]."""
        chosen: Places = rng.random(ids.shape) < self.rates[ids]
        return chosen


def strategy(
    corpus: Ids,
    vocabulary: Vocabulary,
    *,
    rate: float = 0.15,
    candidates: int = 30,
    window: int = 11,
    share: float = 0.05,
    prior: float = 20.0,
    seed: int = 0,
) -> ByToken:
    """Run InforMask over a `share` of the sequences, then mask at the rates it used.

    PMI is counted on the entire corpus.

    Raises:
        BenchError: no candidates, or a share that is not above 0 and up to 1.
    """
    choose = informask.strategy(corpus, vocabulary, rate=rate, candidates=candidates, window=window)
    return ByToken(
        token_rates(corpus, vocabulary, choose, rate=rate, share=share, prior=prior, seed=seed)
    )


def token_rates(
    corpus: Ids,
    vocabulary: Vocabulary,
    choose: Choose,
    *,
    rate: float,
    share: float,
    prior: float,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return the masking rate [V] of each id, smoothed and scaled as the module describes.

    Args:
        corpus: [N, L].
        vocabulary: its special ids get rate 0.
        choose: the strategy to imitate.
        rate: the expected share of the corpus' tokens to be masked.
        share: of the sequences, drawn without replacement, that `choose` is run on; one sequence at
            least.
        prior: tokens at the overall rate that are added to each id's count.
        seed: of the sample and of the masks.

    Raises:
        BenchError: a share that is not above 0 and up to 1.
    """
    if not 0 < share <= 1:
        raise BenchError(
            f"the share of the corpus is {share}", allowed="above 0 and up to 1", fix="share=0.05"
        )
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.permutation(len(corpus))[: max(1, round(share * len(corpus)))])
    masked, seen = count_masked(corpus, sample, vocabulary, choose, rng)
    rates = (masked + prior * rate) / np.maximum(
        seen + prior, 1e-9
    )  # without a prior, 0 for ids never seen
    rates[vocabulary.special] = 0
    return scale_rates(rates, frequencies(corpus, vocabulary), rate)


def count_masked(
    corpus: Ids,
    sample: NDArray[np.int64],
    vocabulary: Vocabulary,
    choose: Choose,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count how often each id [V] was chosen and seen in the sample; specials count 0."""
    masked = np.zeros(vocabulary.size, dtype=np.int64)
    seen = np.zeros(vocabulary.size, dtype=np.int64)
    for start in range(0, len(sample), ROWS):
        ids = np.asarray(corpus[sample[start : start + ROWS]])
        masked += np.bincount(ids[choose(ids, rng)], minlength=vocabulary.size)
        seen += np.bincount(ids[~vocabulary.special[ids]], minlength=vocabulary.size)
    return masked, seen


def frequencies(corpus: Ids, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Count the occurrences of each id [V] in the corpus; specials count 0."""
    counts = np.zeros(vocabulary.size, dtype=np.int64)
    for start in range(0, len(corpus), ROWS):
        counts += np.bincount(
            np.asarray(corpus[start : start + ROWS]).ravel(), minlength=vocabulary.size
        )
    counts[vocabulary.special] = 0
    return counts


def scale_rates(
    rates: NDArray[np.float64], counts: NDArray[np.int64], rate: float
) -> NDArray[np.float64]:
    """Return min(1, a rates) with the a that makes their mean over the corpus' tokens `rate`.

    Args:
        rates: [V], 0 or more.
        counts: [V], how often each id stands in the corpus.
        rate: the mean wanted; where ids with a rate above 0 are too few for it, all of them get 1.
    """
    positive = rates[(rates > 0) & (counts > 0)]
    if not len(positive):
        return rates

    def excess(scale: float) -> float:
        return float(np.minimum(1, scale * rates) @ counts - rate * counts.sum())

    most = 1 / positive.min()
    scale = float(brentq(excess, 0, most)) if excess(most) > 0 else most
    return np.asarray(np.minimum(1, scale * rates))
