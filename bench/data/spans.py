"""Score answers that are spans of a passage, as SQuAD's own evaluation does.

An answer is compared with each right one, and the best comparison counts: exact match, or the F1 of
the bags of tokens, after normalisation (Rajpurkar et al., 2016, section 6.1). SQuAD 2.0 has
questions without an answer; there no answer is the empty text, which is right alone (Rajpurkar et
al., 2018, section 5). Its evaluation differs from the first in two more points, both kept here:
right answers that normalise to nothing do not count, and two empty texts have an F1 of 1, where
they have 0 in the first.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fewbench.types import Example, Span, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Comparison = Callable[[str, str, bool], float]
"""Compares a normalised answer with a right one; the flag is set for SQuAD 2.0's rules."""

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower-case a text, and remove ASCII punctuation, English articles and further white space.

    >>> normalised("The  U.S. President's")
    'us presidents'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _exact(answer: str, right: str, version_2: bool) -> float:
    return float(answer == right)


def _f1(answer: str, right: str, version_2: bool) -> float:
    answered, golden = answer.split(), right.split()
    if version_2 and not (answered and golden):
        return float(answered == golden)
    shared = sum((Counter(answered) & Counter(golden)).values())
    return 2 * shared / (len(answered) + len(golden)) if shared else 0.0


SPAN_METRICS: Mapping[str, Comparison] = {"exact_match": _exact, "token_f1": _f1}
"""The metrics of span tasks, each a mean over the examples."""


def text_of(example: Example, span: Span) -> str:
    """Return the characters of a span of an example's passage."""
    return example.texts[0][slice(*span)]


def item_scores(
    task: Task, examples: Sequence[Example], spans: Sequence[Span], metric: str
) -> NDArray[np.float64]:
    """Score the answer to each example, [n], each 0 to 1.

    Args:
        task: a span task; if its rows may lack an answer, the rules are SQuAD 2.0's.
        examples: n, with their answers.
        spans: of the n passages; an empty one says that there is no answer.
        metric: one of `SPAN_METRICS`.
    """
    import numpy as np  # here, so that listing commands start without it

    compare, version_2 = SPAN_METRICS[metric], task.may_lack_answers
    scores = np.zeros(len(examples))
    for row, (example, span) in enumerate(zip(examples, spans, strict=True)):
        answer = normalised(text_of(example, span))
        rights = [normalised(text_of(example, right)) for right in example.answers]
        if version_2:
            rights = [right for right in rights if right] or [""]
        scores[row] = max(compare(answer, right, version_2) for right in rights)
    return scores


def as_spans(array: NDArray[Any]) -> list[Span]:
    """Return spans in an array [n, 2] as pairs."""
    return [(int(start), int(end)) for start, end in array]
