"""The moves of an attack: replace a word by a neighbour, in the word's case."""

from __future__ import annotations

from dataclasses import dataclass

from fewbench.measure.attack.neighbours import Neighbours
from fewbench.measure.attack.text import WordSequence


@dataclass(frozen=True, slots=True)
class Swap:
    """Replace a word by one of its nearest neighbours.

    Jin et al. try up to 50, at a cosine of 0.5 or more.
    """

    neighbours: Neighbours
    limit: int = 50

    def __call__(self, text: WordSequence, index: int) -> list[WordSequence]:
        """Return the texts with each neighbour of a word in its place, the nearest first."""
        word = text.words[index]
        neighbours = self.neighbours.of(word.lower(), self.limit)
        replacements = [in_case(other, word) for other in neighbours]
        return [text.replace(index, other) for other in replacements if other != word]


def in_case(word: str, like: str) -> str:
    """Return a word in the case of another: lower, upper or capitalised, else unchanged."""
    if like.islower():
        return word.lower()
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word.capitalize() if like[:1].isupper() and like[1:].islower() else word
