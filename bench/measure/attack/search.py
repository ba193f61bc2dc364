"""Greedy search: the order in which words are changed, and the choice among candidates.

A search is a generator that yields its questions and does not know the model: many searches are
answered together (`fewbench.measure.attack.asking`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from fewbench.measure.attack.asking import Ask, Search
from fewbench.measure.attack.constraints import NotStopWords, SameTag, Similar
from fewbench.measure.attack.goal import Untargeted
from fewbench.measure.attack.moves import Swap
from fewbench.measure.attack.text import WordSequence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fewbench.measure.attack.asking import Array

UNKNOWN = "<oov>"
Status = Literal["succeeded", "failed", "skipped"]


class SearchResult(NamedTuple):
    """The result of a search: the text, the probabilities before and after, the words changed."""

    status: Status
    text: str
    before: list[float]
    after: list[float]
    changed: int
    words: int


class Tried(NamedTuple):
    """Candidates for a word: probabilities [n, C], violated constraints [n], similarities [n]."""

    rows: Array
    violations: NDArray[np.int_]
    similarity: Array


class _Candidates(NamedTuple):
    """Texts with another word, violated constraints [n] and similarities [n]."""

    texts: list[WordSequence]
    violations: NDArray[np.int_]
    similarity: Array


Rank = Callable[[WordSequence, Sequence[int], "Array", Untargeted], Search[list[int]]]
Choose = Callable[[Untargeted, Tried, "Array", "Array"], "int | None"]


@dataclass(frozen=True, slots=True)
class Assembly:
    """An attack, assembled from its pieces.

    Args:
        take_apart: splits a text into words.
        changeable: selects the words that may be changed.
        rank: orders them.
        swap: makes the candidates for a word.
        same_tag: the constraint on a word's part of speech.
        similar: the constraint on the sense of the words around it.
        choose: takes one of the candidates, or none.
        ask_all: ask the model about every candidate, as Jin et al.'s program does, and not only
            about those that meet all constraints.
    """

    take_apart: Callable[[str], WordSequence]
    changeable: NotStopWords
    rank: Rank
    swap: Swap
    same_tag: SameTag
    similar: Similar
    choose: Choose
    ask_all: bool

    def __call__(self, text: str, label: int) -> Search[SearchResult]:
        """Attack one text; the first question is the text itself."""
        goal, original = Untargeted(label), self.take_apart(text)
        before = yield Ask("model", [text])
        probabilities: list[float] = before[0].tolist()
        if goal.reached(before)[0]:
            return SearchResult("skipped", text, probabilities, probabilities, 0, len(original))
        current, now, changed = original, before, 0
        order = yield from self.rank(original, self.changeable(original), before, goal)
        for place in order:
            candidates = yield from self._candidates(original, current, place)
            if candidates is None:
                continue
            rows = yield Ask("model", [candidate.text for candidate in candidates.texts])
            tried = Tried(rows, candidates.violations, candidates.similarity)
            best = self.choose(goal, tried, before, now)
            if best is None:
                continue
            current, now, changed = candidates.texts[best], rows[best : best + 1], changed + 1
            if goal.reached(now)[0]:
                break
        status: Status = "succeeded" if goal.reached(now)[0] else "failed"
        return SearchResult(
            status, current.text, probabilities, now[0].tolist(), changed, len(original)
        )

    def _candidates(
        self, original: WordSequence, current: WordSequence, place: int
    ) -> Search[_Candidates | None]:
        """Return the texts with another word at `place` to ask the model about, if any."""
        import numpy as np

        texts = self.swap(current, place)
        if not texts:
            return None
        same_tag = np.array(self.same_tag(original, texts, place), bool)
        if not self.ask_all:
            texts = [text for text, is_same in zip(texts, same_tag, strict=True) if is_same]
            same_tag = np.ones(len(texts), bool)
            if not texts:
                return None
        similar, similarity = yield from self.similar(current, texts, place)
        violations = (~similar).astype(int) + ~same_tag
        if self.ask_all:
            return _Candidates(texts, violations, similarity)
        # Sorted by text: of candidates that the model scores alike, the first is taken.
        passed = sorted(similar.nonzero()[0].tolist(), key=lambda number: texts[number].text)
        if not passed:
            return None
        return _Candidates([texts[n] for n in passed], violations[passed], similarity[passed])


def by_deletion(
    text: WordSequence, places: Sequence[int], before: Array, goal: Untargeted
) -> Search[list[int]]:
    """Order words by the fall of the right class without them, as TextAttack does."""
    import numpy as np

    if not places:
        return []
    # Deletions of repeated words score alike. TextAttack then has the order of a set, and of an
    # unstable sort.
    listed = list(set(range(len(text))) & set(places))
    rows = yield Ask("model", [text.delete(place) for place in listed])
    order: list[int] = np.array(listed)[(-goal.score(rows)).argsort()].tolist()
    return order


def by_unknown(
    text: WordSequence, places: Sequence[int], before: Array, goal: Untargeted
) -> Search[list[int]]:
    """Order words by their importance, as Jin et al. do (eq. 2).

    p' is the model's answer with an out-of-vocabulary token in the word's place. I(w) = p(y) -
    p'(y), and if the class turns to y', + p'(y') - p(y'). The model is asked about all words, and
    those that may not be changed are left out afterwards.
    """
    if not text.words:
        return []
    rows = yield Ask("model", [text.replace(place, UNKNOWN).text for place in range(len(text))])
    turned, first = rows.argmax(axis=1), before[0]
    importance = first[goal.label] - rows[:, goal.label]
    importance = importance + goal.reached(rows) * (rows.max(axis=1) - first[turned])
    return sorted(places, key=lambda place: -importance[place])


def most_similar_winner(goal: Untargeted, tried: Tried, before: Array, now: Array) -> int | None:
    """Choose a candidate as Jin et al. do (Algorithm 1, lines 16 to 24).

    Of those that turn the class without violations it is the most similar. Else it is the one with
    the lowest probability of the right class plus the number of violations, if this is lower than
    the probability for the original text.
    """
    import numpy as np

    is_winner = goal.reached(tried.rows) & (tried.violations == 0)
    if is_winner.any():
        return int(np.where(is_winner, tried.similarity, -np.inf).argmax())
    probabilities = tried.rows[:, goal.label] + tried.violations
    best = int(probabilities.argmin())
    return best if probabilities[best] < before[0, goal.label] else None


def first_winners(goal: Untargeted, tried: Tried, before: Array, now: Array) -> int | None:
    """Choose a candidate as TextAttack's greedy search does.

    It is the one with the lowest probability of the right class, if this is lower than now. If it
    turns the class, it is the most similar of all that do and that rank before any that does not.
    """
    order = (-goal.score(tried.rows)).argsort(kind="stable").tolist()
    if goal.score(tried.rows)[order[0]] <= goal.score(now)[0]:
        return None
    reached = goal.reached(tried.rows)
    best: int = order[0]
    for other in order:
        if not reached[other]:
            break
        if tried.similarity[other] > tried.similarity[best]:
            best = other
    return best
