"""Searches that ask and are answered: many of them together, so that their questions fill batches.

A search is a generator: it yields what it wants to know, is sent the answer, and returns what it
found.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

T = TypeVar("T")
Oracle = Literal["model", "encoder"]


class Ask(NamedTuple):
    """What a search wants to know: texts, for the model's probabilities [n, C] or an encoder's
    vectors [n, d].
    """

    of: Oracle
    texts: list[str]


Search = Generator[Ask, "Array", T]
Answer = Callable[[Sequence[tuple[int, str]]], "Array"]
"""Answers texts, each with the number of the search that asks."""


def answer_together(
    searches: Sequence[Search[T]], answers: Mapping[Oracle, Answer]
) -> list[tuple[T, int]]:
    """Carry out searches side by side; return what each found, and how many texts it asked the
    model about.

    All questions that are open go to the model at once, then all to the encoder, until every search
    has ended. A text asked about twice counts twice (so do both reference programs), whether or not
    it was looked up.

    Args:
        searches: not begun yet.
        answers: by what they ask.
    """
    waiting = {number: next(search) for number, search in enumerate(searches)}
    queries = dict.fromkeys(waiting, 0)
    found: dict[int, T] = {}
    while waiting:
        for of, answer in answers.items():
            asked = {number: ask for number, ask in waiting.items() if ask.of == of}
            if not asked:
                continue
            rows = answer([(number, text) for number, ask in asked.items() for text in ask.texts])
            start = 0
            for number, ask in asked.items():
                own = rows[start : start + len(ask.texts)]
                start += len(ask.texts)
                queries[number] += len(ask.texts) if of == "model" else 0
                try:
                    waiting[number] = searches[number].send(own)
                except StopIteration as end:
                    found[number] = end.value
                    del waiting[number]
    return [(found[number], queries[number]) for number in range(len(searches))]


class Remembered:
    """Answers each text once, and looks it up when it comes again.

    Args:
        answer: of keys (texts of one item), an array with a row for each.
    """

    def __init__(self, answer: Callable[[Sequence[tuple[str, ...]]], Array]) -> None:
        self._answer = answer
        self._rows: dict[tuple[str, ...], Array] = {}

    def __call__(self, keys: Sequence[tuple[str, ...]]) -> Array:
        """Return the rows of some keys."""
        import numpy as np

        if new := list(dict.fromkeys(key for key in keys if key not in self._rows)):
            self._rows.update(zip(new, self._answer(new), strict=True))
        return np.stack([self._rows[key] for key in keys])
