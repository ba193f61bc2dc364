"""The constraints of an attack: keep stop words, parts of speech, and the sense of the context.

A constraint that asks the encoder is a generator that yields its question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fewbench.measure.attack.asking import Ask, Search
from fewbench.measure.attack.tagger import Tagger
from fewbench.measure.attack.text import WordSequence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fewbench.measure.attack.asking import Array


@dataclass(frozen=True, slots=True)
class NotStopWords:
    """Leave stop words unchanged."""

    stop_words: frozenset[str]

    def __call__(self, text: WordSequence) -> list[int]:
        """Return the places of the other words."""
        return [place for place, word in enumerate(text.words) if word not in self.stop_words]


@dataclass(frozen=True, slots=True)
class SameTag:
    """Keep a word's part of speech, where nouns and verbs may be exchanged.

    With `context="original"`, as in TextAttack, both words are tagged between four words before and
    three after of the original text. With `context="current"`, as in Jin et al., the original word
    is tagged in the complete original text, and the new one in the changed text: between four words
    on either side if it has more than ten.
    """

    tagger: Tagger
    context: Literal["original", "current"]

    def __call__(
        self, original: WordSequence, candidates: Sequence[WordSequence], index: int
    ) -> list[bool]:
        """For each text with another word at `index`, return True if the word's tag is kept."""
        if self.context == "current":
            tag = self.tagger.tag(original.words, index)
            tags = [self._tag_in_current(text.words, index) for text in candidates]
        else:
            tag = self._tag_in_original(original, original.words[index], index)
            tags = [self._tag_in_original(original, t.words[index], index) for t in candidates]
        return [exchangeable(tag, other) for other in tags]

    def _tag_in_original(self, original: WordSequence, word: str, index: int) -> str:
        before = original.words[max(index - 4, 0) : index]
        after = original.words[index + 1 : index + 4]
        return self.tagger.tag((*before, word, *after), len(before))

    def _tag_in_current(self, words: Sequence[str], index: int) -> str:
        if len(words) <= 10:
            return self.tagger.tag(words, index)
        return self.tagger.tag(words[max(index - 4, 0) : index + 5], min(index, 4))


def exchangeable(tag: str, other: str) -> bool:
    """True if a word of one part of speech may replace one of the other."""
    return tag == other or {tag, other} == {"NOUN", "VERB"}


@dataclass(frozen=True, slots=True)
class Similar:
    """Keep the sense of the words around a change, compared with the text before that change.

    Args:
        threshold: the least angular similarity (`angular`) of the two windows.
        short: the threshold for texts shorter than the window; None passes them all, at
            similarity 1.
        window: in words.
    """

    threshold: float
    short: float | None
    window: int = 15

    def __call__(
        self, current: WordSequence, candidates: Sequence[WordSequence], index: int
    ) -> Search[tuple[NDArray[np.bool_], Array]]:
        """Compare texts; return True for the similar ones, [n], and the similarities, [n]."""
        import numpy as np

        threshold = self.short if len(current) < self.window else self.threshold
        if threshold is None:
            return np.ones(len(candidates), bool), np.ones(len(candidates), np.float32)
        windows = [text.window(index, self.window) for text in (current, *candidates)]
        rows = yield Ask("encoder", windows)
        similarity = angular(rows[:1], rows[1:])
        return similarity >= threshold, similarity


def angular(vectors: Array, others: Array) -> Array:
    """Return 1 - angle / π of the rows of two arrays [n, d] (or [1, d]), [n].

    It is 1 for the same direction, and 0 for the opposite one.
    """
    import numpy as np

    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(others, axis=1)
    cosines = (vectors * others).sum(axis=1) / np.maximum(norms, 1e-8)
    similarity: Array = 1 - np.arccos(np.clip(cosines, -1, 1)) / np.float32(math.pi)
    return similarity


def from_radians(threshold: float) -> float:
    """Convert a threshold of Jin et al., 1 - angle in radians, to angular similarity."""
    return 1 - (1 - threshold) / math.pi
