"""Searches that ask questions, and answers to many of them at once, in full batches.

A search is a generator: it yields a question, is sent the answer, and returns its result.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

T = TypeVar("T")
Oracle = Literal["model", "encoder"]


class Ask(NamedTuple):
    """A question: n texts, for the model's probabilities [n, C] or the encoder's vectors [n, d]."""

    of: Oracle
    texts: list[str]


Search = Generator[Ask, "Array", T]

Answer = Callable[[Sequence[tuple[int, str]]], "Array"]
"""Answers texts, each with the number of the search that asks."""


def answer_together(
    searches: Sequence[Search[T]], answers: Mapping[Oracle, Answer]
) -> list[tuple[T, int]]:
    """Run searches side by side; return each one's result and its number of queries to the model.

    All open questions go to the model at once, then all to the encoder, until every search has
    ended. As in both reference programs, a text that is asked about twice counts twice, even if its
    answer was looked up.

    Args:
        searches: not begun yet.
        answers: by oracle.
    """
    waiting = {number: next(search) for number, search in enumerate(searches)}
    queries = dict.fromkeys(waiting, 0)
    results: dict[int, T] = {}
    while waiting:
        for oracle, answer in answers.items():
            asks = {number: ask for number, ask in waiting.items() if ask.of == oracle}
            for number, rows in _answers(answer, asks):
                if oracle == "model":
                    queries[number] += len(rows)
                try:
                    waiting[number] = searches[number].send(rows)
                except StopIteration as end:
                    results[number] = end.value
                    del waiting[number]
    return [(results[number], queries[number]) for number in range(len(searches))]


def _answers(answer: Answer, asks: Mapping[int, Ask]) -> Iterator[tuple[int, Array]]:
    """Answer all questions at once, and yield the rows of each search."""
    if not asks:
        return
    rows = answer([(number, text) for number, ask in asks.items() for text in ask.texts])
    start = 0
    for number, ask in asks.items():
        end = start + len(ask.texts)
        yield number, rows[start:end]
        start = end


class Remembered:
    """Answers each key once, and looks it up when it comes again.

    Args:
        answer: returns a row for each key (the texts of an item).
    """

    def __init__(self, answer: Callable[[Sequence[tuple[str, ...]]], Array]) -> None:
        self._answer = answer
        self._rows: dict[tuple[str, ...], Array] = {}

    def __call__(self, keys: Sequence[tuple[str, ...]]) -> Array:
        """Return the rows of keys."""
        import numpy as np

        new = list(dict.fromkeys(key for key in keys if key not in self._rows))
        if new:
            self._rows.update(zip(new, self._answer(new), strict=True))
        return np.stack([self._rows[key] for key in keys])
