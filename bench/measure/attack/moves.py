"""What an attack may do to a text: put a neighbour in a word's place, in the word's own case."""

from __future__ import annotations

from dataclasses import dataclass

from fewbench.measure.attack.neighbours import Neighbours
from fewbench.measure.attack.text import WordSequence


@dataclass(frozen=True, slots=True)
class Swap:
    """Put one of the nearest neighbours in a word's place (Jin et al.: up to 50 at a cosine of 0.5
    or more).
    """

    neighbours: Neighbours
    limit: int = 50

    def __call__(self, text: WordSequence, index: int) -> list[WordSequence]:
        """Return the texts with each of the neighbours of a word in its place, the nearest first."""
        word = text.words[index]
        found = (in_case(other, word) for other in self.neighbours.of(word.lower(), self.limit))
        return [text.replace(index, other) for other in found if other != word]


def in_case(word: str, like: str) -> str:
    """Return a word in lower, upper or capitalised letters, as another is; any other mixture leaves
    it as it is.
    """
    if like.islower():
        return word.lower()
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word.capitalize() if like[:1].isupper() and like[1:].islower() else word
