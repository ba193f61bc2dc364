"""What an attack must keep: stop words, a word's part of speech, the sense of the words around it.

A constraint that needs an answer (an encoder's) is a generator that yields what it asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fewbench.measure.attack.asking import Ask, Search
from fewbench.measure.attack.tagger import Tagger
from fewbench.measure.attack.text import WordSequence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NotStopWords:
    """Leave stop words as they are."""

    stop_words: frozenset[str]

    def __call__(self, text: WordSequence) -> list[int]:
        """Return the places of the other words."""
        return [place for place, word in enumerate(text.words) if word not in self.stop_words]


@dataclass(frozen=True, slots=True)
class SameTag:
    """Keep a word's part of speech, where nouns and verbs may be exchanged.

    With `context="original"`, as TextAttack has it, both words are tagged between four words before
    and three after of the original text. With `context="current"`, as Jin et al. have it, the
    original word is tagged in the whole original text, and the new one in the changed text: between
    four words on either side if it has more than ten.
    """

    tagger: Tagger
    context: Literal["original", "current"]

    def __call__(
        self, original: WordSequence, candidates: Sequence[WordSequence], index: int
    ) -> list[bool]:
        """Return which of the texts, each with another word at a place, keep its part of speech."""
        if self.context == "current":
            wanted = self.tagger.tag(original.words, index)
            return [exchangeable(wanted, self._around(text.words, index)) for text in candidates]
        before, after = (
            original.words[max(index - 4, 0) : index],
            original.words[index + 1 : index + 4],
        )
        wanted = self.tagger.tag((*before, original.words[index], *after), len(before))
        new = (
            self.tagger.tag((*before, text.words[index], *after), len(before))
            for text in candidates
        )
        return [exchangeable(wanted, tag) for tag in new]

    def _around(self, words: Sequence[str], index: int) -> str:
        if len(words) <= 10:
            return self.tagger.tag(words, index)
        return self.tagger.tag(words[max(index - 4, 0) : index + 5], min(index, 4))


def exchangeable(tag: str, other: str) -> bool:
    """Return whether a word of one part of speech may stand for one of another."""
    return tag == other or {tag, other} == {"NOUN", "VERB"}


@dataclass(frozen=True, slots=True)
class Similar:
    """Keep the sense of the `window` words around a change, against the text before the change (not
    the original).

    Args:
        threshold: the least angular similarity (`angular`) of the two windows.
        short: the threshold for texts of fewer words than the window; None passes them all, at
            similarity 1.
        window: in words.
    """

    threshold: float
    short: float | None
    window: int = 15

    def __call__(
        self, current: WordSequence, candidates: Sequence[WordSequence], index: int
    ) -> Search[tuple[Any, Array]]:
        """Return which of the texts are similar enough, [n], and how similar they are, [n]."""
        import numpy as np

        is_short = len(current) < self.window
        if is_short and self.short is None:
            return np.ones(len(candidates), bool), np.ones(len(candidates), np.float32)
        windows = [text.window(index, self.window) for text in (current, *candidates)]
        rows = yield Ask("encoder", windows)
        similarity = angular(rows[:1], rows[1:])
        return similarity >= (
            self.short if is_short and self.short is not None else self.threshold
        ), similarity


def angular(one: Array, other: Array) -> Array:
    """Return 1 - angle / π of the rows of two arrays [n, d] (or [1, d]), [n]: 1 the same direction,
    0 the opposite.
    """
    import numpy as np

    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = (one * other).sum(axis=1) / np.maximum(norms, 1e-8)
    similarity: Array = 1 - np.arccos(np.clip(cosines, -1, 1)) / np.float32(math.pi)
    return similarity


def from_radians(threshold: float) -> float:
    """Return as angular similarity what Jin et al. state as 1 - angle, the angle in radians and not
    over π.
    """
    return 1 - (1 - threshold) / math.pi
