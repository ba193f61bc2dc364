"""Which words to change first, and which candidate to take: greedy search, as a generator that
yields what it asks.

Many searches are answered together (`fewbench.measure.attack.asking`): none of them knows the
model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fewbench.measure.attack.asking import Ask, Search
from fewbench.measure.attack.constraints import NotStopWords, SameTag, Similar
from fewbench.measure.attack.goal import Untargeted
from fewbench.measure.attack.moves import Swap
from fewbench.measure.attack.text import WordSequence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

UNKNOWN = "<oov>"
Status = Literal["succeeded", "failed", "skipped"]


class SearchResult(NamedTuple):
    """What a search ends with: the text, what the model made of the first one and of it, and the
    words changed.
    """

    status: Status
    text: str
    before: list[float]
    after: list[float]
    changed: int
    words: int


class Tried(NamedTuple):
    """Candidates for one place: probabilities [n, C], which constraints they violate [n], their
    similarity [n].
    """

    rows: Array
    violations: NDArray[Any]
    similarity: Array


Rank = Callable[[WordSequence, Sequence[int], "Array", Untargeted], Search[list[int]]]
Choose = Callable[[Untargeted, Tried, "Array", "Array"], "int | None"]


@dataclass(frozen=True, slots=True)
class Assembly:
    """An attack put together of its pieces.

    Args:
        take_apart: a text to words.
        changeable: which words may be changed.
        rank: in which order.
        swap: into what.
        same_tag: the constraint on a word's part of speech.
        similar: the constraint on the sense of the words around it.
        choose: which of the candidates is taken, if any.
        ask_all: the model is asked about every candidate, whatever the constraints say (Jin et
            al.'s program), instead of those alone that meet them all.
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
        current, now, changed = original, before, 0
        if goal.reached(before)[0]:
            return SearchResult(
                "skipped", text, before[0].tolist(), before[0].tolist(), 0, len(original)
            )
        order = yield from self.rank(original, self.changeable(original), before, goal)
        for place in order:
            step = yield from self._step(original, current, place, (goal, before, now))
            if step is not None:
                current, now, changed = *step, changed + 1
                if goal.reached(now)[0]:
                    break
        status: Status = "succeeded" if goal.reached(now)[0] else "failed"
        return SearchResult(
            status, current.text, before[0].tolist(), now[0].tolist(), changed, len(original)
        )

    def _step(
        self,
        original: WordSequence,
        current: WordSequence,
        place: int,
        known: tuple[Untargeted, Array, Array],
    ) -> Search[tuple[WordSequence, Array] | None]:
        """Return the text with the best word at a place and the model's probabilities [1, C], if
        one is taken.
        """
        import numpy as np

        goal, before, now = known
        candidates = self.swap(current, place)
        if not candidates:
            return None
        kept = np.array(self.same_tag(original, candidates, place))
        if not self.ask_all:
            candidates = [text for text, keep in zip(candidates, kept, strict=True) if keep]
            kept = np.ones(len(candidates), bool)
            if not candidates:
                return None
        near, similarity = yield from self.similar(current, candidates, place)
        if not self.ask_all:
            # By their texts: of candidates that the model scores alike, the first is taken.
            passed = sorted(near.nonzero()[0].tolist(), key=lambda n: candidates[n].text)
            candidates, near, kept = [candidates[n] for n in passed], near[passed], kept[passed]
            similarity = similarity[passed]
            if not candidates:
                return None
        rows = yield Ask("model", [text.text for text in candidates])
        violations = (~near).astype(int) + ~kept
        best = self.choose(goal, Tried(rows, violations, similarity), before, now)
        return None if best is None else (candidates[best], rows[best : best + 1])


def by_deletion(
    text: WordSequence, places: Sequence[int], before: Array, goal: Untargeted
) -> Search[list[int]]:
    """Order words by how far the right class falls without them (TextAttack's ranking by deletion)."""
    import numpy as np

    if not places:
        return []
    # Where words repeat, deletions score alike. TextAttack's order is then that of a set, and of an
    # unstable sort.
    listed = list(set(range(len(text))) & set(places))
    rows = yield Ask("model", [text.delete(place) for place in listed])
    order: list[int] = np.array(listed)[(-goal.score(rows)).argsort()].tolist()
    return order


def by_unknown(
    text: WordSequence, places: Sequence[int], before: Array, goal: Untargeted
) -> Search[list[int]]:
    """Order words by their importance, with an out-of-vocabulary token in their place (Jin et al.,
    eq. 2).

    I(w) = p(y) - p'(y), and where the class turns to y', also + p'(y') - p(y'). All words are asked
    about, and those that may not be changed left out after it.
    """
    if not text.words:
        return []
    rows = yield Ask("model", [text.replace(place, UNKNOWN).text for place in range(len(text))])
    turned, first = rows.argmax(axis=1), before[0]
    importance = first[goal.label] - rows[:, goal.label]
    importance = importance + goal.reached(rows) * (rows.max(axis=1) - first[turned])
    return sorted(places, key=lambda place: -importance[place])


def most_similar_winner(goal: Untargeted, tried: Tried, before: Array, now: Array) -> int | None:
    """Take a candidate as Jin et al. do (Algorithm 1, lines 16 to 24).

    Of those that turn the class and violate nothing the most similar; else the one of the lowest
    probability of the right class, 1 added for every violation, if it is lower than that of the
    original text.
    """
    import numpy as np

    won = goal.reached(tried.rows) & (tried.violations == 0)
    if won.any():
        return int(np.where(won, tried.similarity, -np.inf).argmax())
    probabilities = tried.rows[:, goal.label] + tried.violations
    best = int(probabilities.argmin())
    return best if probabilities[best] < before[0, goal.label] else None


def first_winners(goal: Untargeted, tried: Tried, before: Array, now: Array) -> int | None:
    """Take a candidate as TextAttack's greedy search does.

    The one of the lowest probability of the right class, if it is lower than now. Where it turns
    the class, the most similar of all that do and that come before any that does not.
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
